"""Prepares a raw dataset for the stages: seen training annotations, hidden ones, validation."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ggn.core.census import Census, take_census
from ggn.core.coco import (
    MARK_REFUSED,
    MARKED,
    CocoError,
    Fault,
    has_byte_order_mark,
    read_coco,
    read_json,
    write_json,
)
from ggn.core.files import sha256
from ggn.core.mending import mend
from ggn.data.categories import name_key, used_categories
from ggn.data.check import RESPELT, inspect_images, nothing_seen, repetition_warnings
from ggn.data.copies import Picture, shared_images, write_scaled
from ggn.data.params import DataParams
from ggn.data.shapes import make_shapes
from ggn.data.splits import resolve_categories, split_annotations

logger = logging.getLogger(__name__)

SHAPES_LAYOUT = {
    "train_annotations": "annotations/instances_train.json",
    "val_annotations": "annotations/instances_val.json",
    "train_images": "train",
    "val_images": "val",
}

_VAL_FACTS = ("dataset", "set", "videos")


@dataclass(frozen=True)
class PreparedSplit:
    """The content of `split.json`: seen and unseen categories, image folders, counts."""

    seen: tuple[int, ...]
    """Category ids of the training annotations that may be learned from."""
    unseen: tuple[int, ...]
    """Category ids of the validation annotations that are not trained on."""
    val_categories: tuple[int, ...]
    train_images: str
    """Folder of the training images."""
    val_images: str
    sources: dict[str, str]
    """SHA-256 of each raw annotation file."""
    dropped: dict[str, dict[str, int]]
    """Faulty annotations left out on request, by part and kind of fault."""
    counts: dict[str, int]
    val_set: dict[str, Any]
    """Facts from the `info` of a converted validation file: dataset, set, number of videos."""
    mended: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of mended records, by part and kind; only for parts that have any."""
    warnings: list[str] = field(default_factory=list)
    """Warnings, as sentences."""

    @property
    def partitions(self) -> dict[str, tuple[int, ...] | None]:
        """The partitions of the validation objects: category ids, or None for all of them."""
        seen = tuple(sorted(set(self.val_categories) - set(self.unseen)))
        return {"seen": seen, "unseen": self.unseen, "all": None}


def read_prepared(folder: Path) -> PreparedSplit:
    """Read a prepared split and refuse it if its raw annotations have changed since.

    Raises:
        ValueError: naming the raw file that is missing or has changed.
    """
    record = read_json(folder / "split.json")
    for name in ("seen", "unseen", "val_categories"):
        record[name] = tuple(record[name])
    split = PreparedSplit(**record)
    for file, digest in split.sources.items():
        if not Path(file).is_file() or sha256(Path(file)) != digest:
            raise ValueError(
                f"{file}: changed or missing since {folder} was prepared from it; "
                "prepare it again with `dvc repro --force`"
            )
    return split


def training_images(data: Path) -> tuple[list[dict[str, Any]], dict[int, Path]]:
    """Return the records of a split's training images, and their files by image id.

    Args:
        data: the split's data folder, with `prepared` and `training/baseline.json`.
    """
    folder = Path(read_prepared(data / "prepared").train_images).resolve()
    images = read_coco(data / "training" / "baseline.json")["images"]
    return images, {image["id"]: folder / image["file_name"] for image in images}


def prepare(params: DataParams, out_dir: Path, training_file: Path) -> PreparedSplit:
    """Check a dataset and write it, divided into seen and hidden annotations.

    Args:
        params: the raw dataset and its seen categories.
        out_dir: receives `hidden.json` (unseen annotations of the training images), `val.json`
            (all annotations), `split.json`, and the images of a synthetic dataset.
        training_file: receives the training images with their seen annotations only.

    Raises:
        CocoError: listing the faults of the dataset.
        ValueError: the dataset lacks categories that are named, or seen and unseen overlap.
    """
    root = out_dir
    if params.source == "shapes":
        make_shapes(params.shapes, out_dir)
        params = params.model_copy(update=SHAPES_LAYOUT)
    else:
        root = Path(params.root)
    val_root = root if params.val_root is None else Path(params.val_root)
    train_path, val_path = root / params.train_annotations, val_root / params.val_annotations
    train_images, val_images = root / params.train_images, val_root / params.val_images
    read = read_part(train_path, train_images, params, params.max_train_images)
    read_val = read_part(val_path, val_images, params, params.max_val_images)
    train, val, dropped = read.dataset, read_val.dataset, (read.dropped, read_val.dropped)
    warnings = [*read.warnings, *read_val.warnings]
    shared = shared_images(read.pictures, read_val.pictures)
    for warning in shared:
        logger.warning("warning: %s", warning)
    warnings += shared
    if params.bits is not None:
        train_images = write_scaled(train["images"], train_images, out_dir / "train", params.bits)
        val_images = write_scaled(val["images"], val_images, out_dir / "val", params.bits)
    seen, unseen = _seen_and_unseen(train, val, params)
    if train["categories"] and (reason := nothing_seen(train, seen)):
        raise ValueError(f"{train_path}: {reason}")
    annotated, hidden = split_annotations(train, seen)
    split = PreparedSplit(
        seen=seen,
        unseen=unseen,
        val_categories=tuple(category["id"] for category in val["categories"]),
        train_images=train_images.as_posix(),
        val_images=val_images.as_posix(),
        sources={path.as_posix(): sha256(path) for path in (train_path, val_path)},
        dropped={"train": read.dropped, "val": read_val.dropped},
        counts=_counts(train, annotated, hidden, val)
        | {"dropped_objects": sum(sum(part.values()) for part in dropped)},
        val_set=set_facts(val),
        mended={k: p.mended for k, p in (("train", read), ("val", read_val)) if p.mended},
        warnings=warnings,
    )
    write_json(training_file, annotated)
    write_json(out_dir / "hidden.json", hidden)
    write_json(out_dir / "val.json", val)
    odd = {"mended", "warnings"}
    record = {key: value for key, value in asdict(split).items() if value or key not in odd}
    write_json(out_dir / "split.json", record)
    return split


@dataclass(frozen=True)
class PreparedFile:
    """One annotation file after reading."""

    dataset: dict[str, Any]
    dropped: dict[str, int]
    """Number of annotations left out, by fault."""
    mended: dict[str, int]
    """Number of records mended, by kind."""
    warnings: list[str]
    pictures: list[Picture]


def read_part(path: Path, images_dir: Path, params: DataParams, limit: int | None) -> PreparedFile:
    """Read one annotation file; mend, refuse or drop its faults; keep the first images by id.

    The result is logged.

    Args:
        path: path of the annotations.
        images_dir: folder of the images.
        params: how to treat faults.
        limit: how many images to keep; None: all.

    Raises:
        CocoError: listing the faults of the dataset and of its images.
        ValueError: more annotations are faulty than `max_dropped` allows.
    """
    is_marked = has_byte_order_mark(path)
    if is_marked and params.strict:
        raise CocoError([Fault(str(path), "not JSON", MARK_REFUSED)])
    done = mend(read_json(path), str(path), drop=params.drop_faulty, strict=params.strict)
    if done.faults:
        raise CocoError(done.faults)
    if done.dropped_share > params.max_dropped:
        counts = ", ".join(f"{key} {count}" for key, count in done.dropped.items())
        raise ValueError(
            f"{path}: {done.dropped_share:.0%} of the annotations are faulty ({counts}); raise "
            f"data.max_dropped to leave out more than {params.max_dropped:.0%}"
        )
    dataset = _first_images(done.dataset, limit)
    mended = ({MARKED: 1} if is_marked else {}) | done.mended
    images = inspect_images(
        dataset["images"],
        str(path),
        images_dir,
        strict=params.strict,
        ignore_exif=params.ignore_exif or params.source == "shapes",
    )
    if images.faults:
        raise CocoError(images.faults)
    if images.names:
        mended[RESPELT] = len(images.names)
        renamed = enumerate(dataset["images"])
        dataset["images"] = [
            {**r, "file_name": images.names.get(i, r["file_name"])} for i, r in renamed
        ]
    census = take_census(dataset)
    left = [f for f in done.repeated if f.kind == "relabelled" or not params.drop_faulty]
    repeated = repetition_warnings(left)
    dark = images.dark if params.bits is None else []
    found = [*repeated, *census.warnings, *images.warnings, *dark]
    _log(path, census, done.dropped, mended, found)
    said = [f"{path}: {warning}" for warning in found]
    return PreparedFile(dataset, done.dropped, mended, said, images.pictures)


def _log(
    path: Path, census: Census, dropped: dict[str, int], mended: dict[str, int], found: list[str]
) -> None:
    left_out = ", ".join(f"{key} {count}" for key, count in dropped.items())
    logger.info(
        "%s: %s, %d dropped%s", path, census, sum(dropped.values()), left_out and f" ({left_out})"
    )
    for kind, count in mended.items():
        logger.info("%s: repaired: %d %s", path, count, kind)
    for warning in found:
        logger.warning("%s: warning: %s", path, warning)


def _counts(
    train: dict[str, Any], annotated: dict[str, Any], hidden: dict[str, Any], val: dict[str, Any]
) -> dict[str, int]:
    """Return the numbers of images and objects, and of crowds where there are any."""
    seen, unseen, validation = (take_census(part) for part in (annotated, hidden, val))
    crowds = {
        "train_crowds": seen.crowds,
        "hidden_crowds": unseen.crowds,
        "val_crowds": validation.crowds,
    }
    return {
        "train_images": len(train["images"]),
        "train_objects": seen.objects,
        "hidden_objects": unseen.objects,
        "val_images": len(val["images"]),
        "val_objects": validation.objects,
        **{name: count for name, count in crowds.items() if count},
    }


def set_facts(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return facts from the `info` of a converted file: its dataset, set and number of videos."""
    info = dataset.get("info")
    return {k: info[k] for k in _VAL_FACTS if k in info} if isinstance(info, dict) else {}


def _first_images(dataset: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Keep the `limit` images with the smallest ids, and their annotations."""
    images = sorted(dataset["images"], key=lambda image: int(image["id"]))[:limit]
    kept = {image["id"] for image in images}
    annotations = [record for record in dataset["annotations"] if record["image_id"] in kept]
    return {**dataset, "images": images, "annotations": annotations}


def _seen_and_unseen(
    train: dict[str, Any], val: dict[str, Any], params: DataParams
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids of the seen training categories and of the unseen validation categories.

    The two files may number their categories differently, so names decide which are the same.
    """
    seen = resolve_categories(
        train["categories"], params.seen, used_categories(train["annotations"])
    )
    same_as_seen = _same_categories(train["categories"], set(seen), val["categories"])
    if params.unseen == "others":
        return seen, tuple(c["id"] for c in val["categories"] if c["id"] not in same_as_seen)
    unseen = resolve_categories(
        val["categories"], params.unseen, used_categories(val["annotations"])
    )
    both = [c["name"] for c in val["categories"] if c["id"] in same_as_seen.intersection(unseen)]
    if both:
        raise ValueError(f"seen and unseen must not overlap, but both have {', '.join(both)}")
    return seen, unseen


def _same_categories(
    train: list[dict[str, Any]], seen: set[int], val: list[dict[str, Any]]
) -> set[int]:
    """Return the ids of the val categories with the name of a seen one, in any spelling."""
    exact, alike = defaultdict(set), defaultdict(set)
    for category in train:
        exact[category["name"]].add(category["id"])
        alike[name_key(category["name"])].add(category["id"])

    def is_seen(name: str) -> bool:
        return bool(seen & (exact.get(name) or alike.get(name_key(name), set())))

    return {category["id"] for category in val if is_seen(category["name"])}
