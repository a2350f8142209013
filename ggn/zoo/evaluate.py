"""Evaluates a released detector on the validation set of its row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggn.core.files import sha256
from ggn.data.categories import used_categories
from ggn.data.images import read_image
from ggn.data.params import DataParams
from ggn.data.prepare import read_part, set_facts
from ggn.data.splits import resolve_categories
from ggn.evaluation import EvaluationParams, evaluate_partitions
from ggn.zoo.rows import ROWS

Partitions = dict[str, tuple[int, ...] | None]
Follow = Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]]
"""Yields the given images and shows its progress."""


@dataclass(frozen=True)
class Validation:
    """The validation set of a row."""

    truth: dict[str, Any]
    """COCO-style, with the objects of all categories."""
    images: Path
    partitions: Partitions
    """Category ids, or None for all; `seen` and `unseen` where the file's names tell them."""
    facts: dict[str, Any]
    """Facts from the `info` of a converted file: its dataset, set and number of videos."""
    digest: str
    """Hash of the annotation file and the number of images."""


def read_validation(params: DataParams) -> Validation:
    """Read the validation set of a split; the training data is not needed.

    Raises:
        ValueError: the images are synthetic.
        FileNotFoundError, CocoError: naming what is missing or faulty.
    """
    if params.source == "shapes":
        raise ValueError("source: shapes: `dvc repro` draws these images and evaluates on them")
    root = Path(params.root if params.val_root is None else params.val_root)
    path, images = root / params.val_annotations, root / params.val_images
    truth = read_part(path, images, params, params.max_val_images).dataset
    digest = f"{sha256(path)} {params.max_val_images}"
    return Validation(truth, images, _partitions(truth, params), set_facts(truth), digest)


def _partitions(truth: dict[str, Any], params: DataParams) -> Partitions:
    categories, used = truth["categories"], used_categories(truth["annotations"])
    ids = tuple(category["id"] for category in categories)
    if params.unseen != "others":
        unseen = resolve_categories(categories, params.unseen, used)
    elif params.val_root is None:
        seen = resolve_categories(categories, params.seen, used)
        unseen = tuple(sorted(set(ids) - set(seen)))
    else:  # seen are categories of another dataset
        return {"all": None}
    return {"seen": tuple(i for i in ids if i not in unseen), "unseen": unseen, "all": None}


def measured_on(split: str, validation: Validation, limit: int | None) -> str:
    """Describe the set, in the words of its file or of the published row."""
    facts = validation.facts
    known = {row.split: row.evaluate for row in ROWS}
    name = " ".join(str(facts[key]) for key in ("dataset", "set") if key in facts)
    if "videos" in facts:
        name += f" of {facts['videos']} videos"
    name = name or known.get(split, "its validation set")
    count = len(validation.truth["images"])
    return f"{name}, {count} images" + ("" if limit is None else " only: not comparable")


def evaluate_weights(
    weights: Path,
    validation: Validation,
    params: EvaluationParams,
    scratch: Path,
    device: str,
    follow: Follow,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Find the objects of the validation images and compare them with the annotations.

    After a kill, it continues with the first image that is not done.

    Args:
        weights: folder of a detector.
        validation: the set.
        params: protocol and kinds of overlap.
        scratch: folder for finished images; it is empty when all are done.
        device: as in `ggn.engine.devices`.
        follow: shows the progress.

    Returns:
        metrics such as `unseen/mask_AR_100`, in 0..1, and the COCO results.

    Raises:
        WeightsError: the folder is not a detector.
    """
    from ggn.detector import load_detector

    detector = load_detector(weights, device=device)
    identity = f"{sha256(weights / 'weights.safetensors')} {validation.digest}"
    log = scratch / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsonl"

    def found(image: Mapping[str, Any]) -> list[dict[str, Any]]:
        pixels = read_image(validation.images / image["file_name"])
        return detector.predict(pixels).to_coco_results(image["id"])

    results = [entry for part in _logged(log, validation.truth, found, follow) for entry in part]
    metrics = evaluate_partitions(
        validation.truth,
        results,
        validation.partitions,
        protocol=params.protocol,
        iou_types=params.iou_types,
    )
    log.unlink()
    return metrics, results


def _logged(
    log: Path,
    truth: Mapping[str, Any],
    found: Callable[[Mapping[str, Any]], list[dict[str, Any]]],
    follow: Follow,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the results of every image: first those in the log, then new ones, which are logged."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    with log.open("r+b") as file:
        for image in follow(truth["images"]):
            end = file.tell()
            line = file.readline()
            if line.endswith(b"\n"):
                yield json.loads(line)
                continue
            file.seek(end)  # the end, or a line truncated by a kill
            file.truncate()
            results = found(image)
            file.write(json.dumps(results).encode() + b"\n")
            file.flush()
            yield results
