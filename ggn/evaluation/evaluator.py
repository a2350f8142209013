"""The evaluation as a call: files or records in, named metrics out."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.data.splits import resolve_categories
from ggn.evaluation.average_recall import AREA_RANGES, BUDGETS, Tally, summarize, within_ranges
from ggn.evaluation.inputs import EvaluationInputs, ImageArrays, read_inputs
from ggn.evaluation.matching import match
from ggn.evaluation.params import IOU_TYPES, PROTOCOL_NAMES, IouType, ProtocolName
from ggn.evaluation.places import ObjectPlaces, PlacesSoFar
from ggn.evaluation.protocols import PROTOCOLS, ImageOverlaps, Protocol, View, is_verified
from ggn.evaluation.records import FEDERATION_KEYS

Annotations = Path | str | Mapping[str, Any]
Predictions = Path | str | Sequence[Mapping[str, Any]]
CategorySpec = str | Iterable[str | int] | None

IOU_TYPE_NAMES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

Follow = Callable[[Iterator[ImageArrays]], Iterable[ImageArrays]]


def evaluate(
    annotations: Annotations,
    predictions: Predictions,
    *,
    unseen: CategorySpec = None,
    protocol: ProtocolName = "budget",
    iou_type: IouType = "segm",
) -> dict[str, float]:
    """Average recall and precision of predictions, class-agnostic but under "federated".

    Args:
        annotations: COCO file or its contents, with the objects of *all* categories.
        predictions: COCO results file or its contents; their categories matter
            under "federated" only.
        unseen: the evaluated categories, by name or id, or a named partition such as "nonvoc"; all
            others are the seen ones. None evaluates all.
        protocol: "budget", "per_class", "plain" or "federated", see `ggn.evaluation.protocols`.
        iou_type: overlap of boxes ("bbox") or of masks ("segm").

    Returns:
        AR_k: recall at k detections per image, mean over IoU 0.50:0.95. AR_s_100, AR_m_100,
        AR_l_100: by size. AP, AP_50, AP_75, AP_s, AP_m, AP_l at 100 detections per image. -1 where
        there is no object to measure on, and for AP under "per_class" and of a federated dataset
        (but under "federated"). As in pycocotools, the size of a detection is its box's area if the
        predictions have boxes.

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
    metrics: dict[str, float] = {}
    for iou_type in iou_types:
        results = evaluate_inputs(inputs, partitions, protocol=protocol, iou_type=iou_type)
        for name, result in results.items():
            prefix = _prefix(name, iou_type)
            metrics |= {prefix + metric: value for metric, value in result.metrics.items()}
    return metrics


@dataclass(frozen=True)
class PartitionResult:
    """The metrics of one set of categories, and what became of each of its objects."""

    metrics: dict[str, float]
    objects: ObjectPlaces


def evaluate_inputs(
    inputs: EvaluationInputs,
    partitions: Mapping[str, CategorySpec],
    *,
    protocol: ProtocolName,
    iou_type: IouType,
    follow: Follow = iter,
) -> dict[str, PartitionResult]:
    """Results by partition of what `read_inputs` has read.

    Args:
        inputs: read with `iou_type` among its `iou_types`.
        partitions: as in `evaluate_partitions`.
        protocol: as in `evaluate`.
        iou_type: as in `evaluate`.
        follow: is given the images and gives them back; a progress bar counts them.

    Raises:
        ValueError: unknown category, or "federated" for a dataset that is not federated.
    """
    rules = PROTOCOLS[protocol]
    if rules.needs_federation and not inputs.federation:
        raise ValueError(
            f"protocol {protocol!r} needs {' and '.join(FEDERATION_KEYS)} in the images of the "
            "annotations, as LVIS has them"
        )
    evaluated = {name: _category_ids(inputs, spec) for name, spec in partitions.items()}
    comparisons = {name: _Comparison() for name in partitions}
    for image in follow(inputs.images(iou_type, max_detections=BUDGETS[-1])):
        _compare(image, evaluated, comparisons, rules)
    return {
        name: PartitionResult(
            summarize(compared.tallies.values(), rules.has_precision and compared.is_verified),
            compared.places.gathered(),
        )
        for name, compared in comparisons.items()
    }


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


@dataclass
class _Comparison:
    """What is remembered of one partition while the images go by."""

    tallies: dict[Hashable, dict[str, Tally]] = field(default_factory=dict)
    """View key -> area range -> tally."""
    places: PlacesSoFar = field(default_factory=PlacesSoFar)
    is_verified: bool = True


def _compare(
    image: ImageArrays,
    evaluated: Mapping[str, NDArray[np.int64]],
    comparisons: Mapping[str, _Comparison],
    protocol: Protocol,
) -> None:
    """Add one image to the comparison of each partition."""
    overlaps = ImageOverlaps(
        image.iou, image.category_ids, image.crowd, image.detection_category_ids, image.federation
    )
    rows: list[tuple[View, dict[str, Tally], PlacesSoFar]] = []
    for name, category_ids in evaluated.items():
        compared = comparisons[name]
        if not protocol.needs_federation:
            compared.is_verified &= is_verified(overlaps, category_ids)
        for key, view in protocol.views(overlaps, category_ids).items():
            tallies = compared.tallies.setdefault(key, {size: Tally() for size in AREA_RANGES})
            rows.append((view, tallies, compared.places))
    if rows:
        _add_image(image, rows, protocol)


def _add_image(
    image: ImageArrays,
    rows: Sequence[tuple[View, Mapping[str, Tally], PlacesSoFar]],
    protocol: Protocol,
) -> None:
    """Match one image in all views and area ranges at once, and add the outcome to the tallies."""
    views, n_ranges = [view for view, _, _ in rows], len(AREA_RANGES)
    counted = np.stack([view.counted for view in views])[:, None] & within_ranges(image.areas)
    counted = counted.reshape(len(views) * n_ranges, -1)
    matches = match(
        image.iou,
        image.crowd,
        present=np.repeat([view.present for view in views], n_ranges, axis=0),
        counted=counted,
        frees=np.repeat([view.frees for view in views], n_ranges, axis=0),
        takes_part=np.repeat([view.takes_part for view in views], n_ranges, axis=0),
    )
    other_size = ~within_ranges(image.detection_areas)
    for place, (view, tallies, places) in enumerate(rows):
        for size, (name, tally) in enumerate(tallies.items()):
            row = place * n_ranges + size
            kept = np.flatnonzero(view.holds_place & ~matches.freed[row])
            tally.add_recall(matches.hit[row][:, kept], int(counted[row].sum()))
            if name == "all":
                places.add(image, counted[row], matches.hit[row], matches.found[row], kept)
            if protocol.has_precision:
                best = kept[: protocol.precision_budget]
                best = best[view.takes_part[best]]
                hit, matched = matches.hit[row][:, best], matches.found[row][:, best] >= 0
                # No false alarm: on an ignored object, or on none and of another size.
                on_none = other_size[size, best] | (not view.is_exhaustive)
                ignored = np.where(matched, ~hit, on_none)
                tally.add_precision(image.scores[best], hit, ignored)
