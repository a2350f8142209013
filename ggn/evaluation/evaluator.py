"""The evaluation as a call: files or records in, named metrics out."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.data.splits import resolve_categories
from ggn.evaluation.average_recall import AREA_RANGES, BUDGETS, Tally, summarize, within_ranges
from ggn.evaluation.inputs import EvaluationInputs, ImageArrays, read_inputs
from ggn.evaluation.matching import Matches, match
from ggn.evaluation.params import IOU_TYPES, PROTOCOL_NAMES, IouType, ProtocolName
from ggn.evaluation.protocols import PROTOCOLS, ImageOverlaps, Protocol, View

Annotations = Path | str | Mapping[str, Any]
Predictions = Path | str | Sequence[Mapping[str, Any]]
CategorySpec = str | Iterable[str | int] | None

IOU_TYPE_NAMES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

Comparisons = dict[Hashable, dict[str, Tally]]
"""View key -> area range -> tally."""


def evaluate(
    annotations: Annotations,
    predictions: Predictions,
    *,
    unseen: CategorySpec = None,
    protocol: ProtocolName = "budget",
    iou_type: IouType = "segm",
) -> dict[str, float]:
    """Average recall and precision of class-agnostic predictions.

    Args:
        annotations: COCO file or its contents, with the objects of *all* categories.
        predictions: COCO results file or its contents; the categories of predictions do not matter.
        unseen: the evaluated categories, by name or id, or a named partition such as "nonvoc"; all
            others are the seen ones. None evaluates all.
        protocol: "budget", "per_class" or "plain", see `ggn.evaluation.protocols`.
        iou_type: overlap of boxes ("bbox") or of masks ("segm").

    Returns:
        AR_k: recall at k detections per image, mean over IoU 0.50:0.95. AR_s_100, AR_m_100,
        AR_l_100: by size. AP, AP_50, AP_75, AP_s, AP_m, AP_l at 100 detections per image. -1 where
        there is no object to measure on, and for AP under "per_class". As in pycocotools, the size
        of a detection is its box's area if the predictions have boxes.

    Raises:
        ValueError: faulty files (all faults are named), unknown category, protocol or iou_type.
        FileNotFoundError: no such file.
    """
    results = evaluate_partitions(
        annotations, predictions, {"": unseen}, protocol=protocol, iou_types=[iou_type]
    )
    prefix = _prefix("", iou_type)
    return {name.removeprefix(prefix): value for name, value in results.items()}


def evaluate_partitions(
    annotations: Annotations,
    predictions: Predictions,
    partitions: Mapping[str, CategorySpec],
    *,
    protocol: ProtocolName = "budget",
    iou_types: Sequence[IouType] = ("bbox", "segm"),
) -> dict[str, float]:
    """Metrics of several sets of categories, for which overlaps are computed only once.

    Args:
        annotations: as in `evaluate`.
        predictions: as in `evaluate`.
        partitions: name -> the categories to evaluate, as `unseen` in `evaluate`.
        protocol: as in `evaluate`.
        iou_types: "bbox", "segm" or both.

    Returns:
        The metrics of `evaluate`, named `<partition>/<box|mask>_<metric>`: "unseen/mask_AR_100".

    Raises:
        ValueError: as in `evaluate`.
        FileNotFoundError: as in `evaluate`.
    """
    _check_choice("protocol", protocol, PROTOCOL_NAMES)
    for iou_type in iou_types:
        _check_choice("iou_type", iou_type, IOU_TYPES)
    inputs = read_inputs(annotations, predictions, iou_types)
    evaluated = {name: _category_ids(inputs, spec) for name, spec in partitions.items()}
    rules = PROTOCOLS[protocol]
    metrics: dict[str, float] = {}
    for iou_type in iou_types:
        images = inputs.images(iou_type, max_detections=BUDGETS[-1])
        for name, comparisons in _compare(images, evaluated, rules).items():
            summary = summarize(comparisons.values(), rules.has_precision)
            prefix = _prefix(name, iou_type)
            metrics |= {prefix + metric: value for metric, value in summary.items()}
    return metrics


def _prefix(partition: str, iou_type: IouType) -> str:
    return f"{partition}/{IOU_TYPE_NAMES[iou_type]}_"


def _check_choice(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} must be one of {list(allowed)}, got {value!r}")


def _category_ids(inputs: EvaluationInputs, spec: CategorySpec) -> NDArray[np.int64]:
    if spec is None:
        return np.array([category["id"] for category in inputs.categories], np.int64)
    chosen = spec if isinstance(spec, str) else list(spec)
    return np.array(resolve_categories(inputs.categories, chosen), np.int64)


def _compare(
    images: Iterator[ImageArrays], evaluated: Mapping[str, NDArray[np.int64]], protocol: Protocol
) -> dict[str, Comparisons]:
    """Tallies of each partition, over all images."""
    comparisons: dict[str, Comparisons] = {name: {} for name in evaluated}
    for image in images:
        overlaps = ImageOverlaps(image.iou, image.category_ids, image.crowd)
        tallies: list[dict[str, Tally]] = []
        views: list[View] = []
        for name, category_ids in evaluated.items():
            for key, view in protocol.views(overlaps, category_ids).items():
                empty = {size: Tally() for size in AREA_RANGES}
                tallies.append(comparisons[name].setdefault(key, empty))
                views.append(view)
        if views:
            _add_image(image, views, tallies, protocol.has_precision)
    return comparisons


def _add_image(
    image: ImageArrays,
    views: Sequence[View],
    tallies: Sequence[Mapping[str, Tally]],
    has_precision: bool,
) -> None:
    """Match one image in all views and area ranges at once, and add the outcome to the tallies."""
    n_ranges = len(AREA_RANGES)
    counted = np.stack([view.counted for view in views])[:, None] & within_ranges(image.areas)
    counted = counted.reshape(len(views) * n_ranges, -1)
    takes_part = np.repeat([view.takes_part for view in views], n_ranges, axis=0)
    matches = match(
        image.iou,
        image.crowd,
        present=np.repeat([view.present for view in views], n_ranges, axis=0),
        counted=counted,
        frees=np.repeat([view.frees for view in views], n_ranges, axis=0),
        takes_part=takes_part,
    )
    in_budget = takes_part & ~matches.freed
    ignored = _ignored(matches, image, len(views))
    for row, tally in enumerate(tally for sizes in tallies for tally in sizes.values()):
        kept = np.flatnonzero(in_budget[row])
        hit = matches.hit[row][:, kept]
        tally.add_recall(hit, int(counted[row].sum()))
        if has_precision:
            tally.add_precision(image.scores[kept], hit, ignored[row][:, kept])


def _ignored(matches: Matches, image: ImageArrays, n_views: int) -> NDArray[np.bool_]:
    """Detections that are no false alarm: on an ignored object, or on none and of another size."""
    other_size = np.tile(~within_ranges(image.detection_areas), (n_views, 1))
    return np.where(matches.matched, ~matches.hit, other_size[:, None])
