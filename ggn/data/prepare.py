"""Turn a raw dataset into what the stages read: seen training annotations, hidden ones, val."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ggn.core.coco import CocoError, drop_faulty, read_coco, read_json, write_json
from ggn.data.categories import name_key, used_categories
from ggn.data.check import image_faults
from ggn.data.params import DataParams
from ggn.data.shapes import make_shapes
from ggn.data.splits import resolve_categories, split_annotations

SHAPES_LAYOUT = {
    "train_annotations": "annotations/instances_train.json",
    "val_annotations": "annotations/instances_val.json",
    "train_images": "train",
    "val_images": "val",
}

_VAL_FACTS = ("dataset", "set", "videos")


@dataclass(frozen=True)
class PreparedSplit:
    """What `split.json` holds: who is seen and unseen, where the images lie, what was counted."""

    seen: tuple[int, ...]
    """Category ids of the training annotations that may be learned from."""
    unseen: tuple[int, ...]
    """Category ids of the validation annotations that nobody trained on."""
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
    """What a converted validation file says of itself: its dataset, set and number of videos."""

    @property
    def partitions(self) -> dict[str, tuple[int, ...] | None]:
        """The partitions of the validation objects: category ids, or None for all of them."""
        seen = tuple(sorted(set(self.val_categories) - set(self.unseen)))
        return {"seen": seen, "unseen": self.unseen, "all": None}


def read_prepared(folder: Path) -> PreparedSplit:
    """Read a prepared split and refuse it if its raw annotations have changed since.

    Raises:
        ValueError: naming the raw file that is gone or no longer what was prepared.
    """
    record = read_json(folder / "split.json")
    for name in ("seen", "unseen", "val_categories"):
        record[name] = tuple(record[name])
    split = PreparedSplit(**record)
    for file, digest in split.sources.items():
        if not Path(file).is_file() or file_hash(Path(file)) != digest:
            raise ValueError(
                f"{file}: changed or gone since {folder} was prepared from it; "
                "prepare again with `dvc repro --force`"
            )
    return split


def training_images(data: Path) -> tuple[list[dict[str, Any]], dict[int, Path]]:
    """Return the records of a split's training images, and their files by image id.

    Args:
        data: folder of the split's data, with `prepared` and `training/baseline.json`.
    """
    folder = Path(read_prepared(data / "prepared").train_images).resolve()
    images = read_coco(data / "training" / "baseline.json")["images"]
    return images, {image["id"]: folder / image["file_name"] for image in images}


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare(params: DataParams, out_dir: Path, training_file: Path) -> PreparedSplit:
    """Validate a dataset and write it split into seen and hidden annotations.

    Args:
        params: where the raw dataset lies and which of its categories are seen.
        out_dir: receives `hidden.json` (unseen annotations of the training images), `val.json`
            (all annotations), `split.json`, and the images of a synthetic dataset.
        training_file: receives the training images with their seen annotations only.

    Raises:
        CocoError: listing the faults of the dataset.
        ValueError: if categories are named that the dataset lacks, or seen and unseen overlap.
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
    train, train_dropped = read_part(train_path, train_images, params, params.max_train_images)
    val, val_dropped = read_part(val_path, val_images, params, params.max_val_images)
    seen, unseen = _seen_and_unseen(train, val, params)
    annotated, hidden = split_annotations(train, seen)
    split = PreparedSplit(
        seen=seen,
        unseen=unseen,
        val_categories=tuple(category["id"] for category in val["categories"]),
        train_images=train_images.as_posix(),
        val_images=val_images.as_posix(),
        sources={path.as_posix(): file_hash(path) for path in (train_path, val_path)},
        dropped={"train": train_dropped, "val": val_dropped},
        counts={
            "train_images": len(train["images"]),
            "train_objects": len(annotated["annotations"]),
            "hidden_objects": len(hidden["annotations"]),
            "val_images": len(val["images"]),
            "val_objects": len(val["annotations"]),
            "dropped_objects": sum(train_dropped.values()) + sum(val_dropped.values()),
        },
        val_set=set_facts(val),
    )
    write_json(training_file, annotated)
    write_json(out_dir / "hidden.json", hidden)
    write_json(out_dir / "val.json", val)
    write_json(out_dir / "split.json", asdict(split))
    return split


def read_part(
    path: Path, images_dir: Path, params: DataParams, limit: int | None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Read one annotation file, refuse or drop its faults, keep the first `limit` images by id.

    Returns:
        the dataset, and how many annotations were dropped for which fault.

    Raises:
        CocoError: listing the faults of the dataset and of its images.
    """
    dropped: dict[str, int] = {}
    if params.drop_faulty:
        dataset, dropped = drop_faulty(read_json(path), str(path))
    else:
        dataset = read_coco(path)
    dataset = _first_images(dataset, limit)
    faults = image_faults(dataset, str(path), images_dir)
    if faults:
        raise CocoError(faults)
    return dataset, dropped


def set_facts(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return what a converted file says of itself: its dataset, set and number of videos."""
    info = dataset.get("info")
    return {k: info[k] for k in _VAL_FACTS if k in info} if isinstance(info, dict) else {}


def _first_images(dataset: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Keep the `limit` images of the smallest ids, and their annotations."""
    images = sorted(dataset["images"], key=lambda image: int(image["id"]))[:limit]
    kept = {image["id"] for image in images}
    annotations = [record for record in dataset["annotations"] if record["image_id"] in kept]
    return {**dataset, "images": images, "annotations": annotations}


def _seen_and_unseen(
    train: dict[str, Any], val: dict[str, Any], params: DataParams
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Resolve both groups, seen among the training categories and unseen among those of val.

    The two files may number categories otherwise, so that names tell which are the same.
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
        raise ValueError(f"seen and unseen must not overlap, both have {', '.join(both)}")
    return seen, unseen


def _same_categories(
    train: list[dict[str, Any]], seen: set[int], val: list[dict[str, Any]]
) -> set[int]:
    """Ids of the val categories of the same name as a seen one, spelt alike if not exactly."""
    exact, alike = defaultdict(set), defaultdict(set)
    for category in train:
        exact[category["name"]].add(category["id"])
        alike[name_key(category["name"])].add(category["id"])

    def is_seen(name: str) -> bool:
        return bool(seen & (exact.get(name) or alike.get(name_key(name), set())))

    return {category["id"] for category in val if is_seen(category["name"])}
