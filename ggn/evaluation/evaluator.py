"""The evaluation as a function: files or records in, named metrics out."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import FEDERATION_KEYS
from ggn.data.splits import resolve_categories
from ggn.evaluation.average_recall import AREA_RANGES, Tally, summarize, within_ranges
from ggn.evaluation.budget import BUDGETS, Spent, spend
from ggn.evaluation.inputs import EvaluationInputs, ImageArrays, read_inputs
from ggn.evaluation.matching import Bools, match
from ggn.evaluation.order import in_order
from ggn.evaluation.params import IOU_TYPES, PROTOCOL_NAMES, IouType, ProtocolName
from ggn.evaluation.protocols import PROTOCOLS, ImageOverlaps, Protocol, View, is_verified
from ggn.evaluation.ranks import ObjectRanks, RanksSoFar
from ggn.evaluation.sums import RecallSums, SumsSoFar, recall_hits

Annotations = Path | str | Mapping[str, Any]
Predictions = Path | str | Sequence[Mapping[str, Any]]
CategorySpec = str | Iterable[str | int] | None

IOU_TYPE_NAMES: dict[IouType, str] = {"bbox": "box", "segm": "mask"}

_TOGETHER = 8  # images that a thread compares at a time

Follow = Callable[[Iterator["ComparedImage"]], Iterable["ComparedImage"]]


def evaluate(
    annotations: Annotations,
    predictions: Predictions,
    *,
    unseen: CategorySpec = None,
    protocol: ProtocolName = "budget",
    iou_type: IouType = "segm",
) -> dict[str, float]:
    """Return average recall and precision; class-agnostic except under "federated".

    Args:
        annotations: COCO file or its contents, with the objects of *all* categories.
        predictions: COCO results file or its contents; their categories matter
            under "federated" only.
        unseen: the evaluated categories: ids as integers, names (or any word of
            `ggn.data.categories`) as strings, or a named partition such as "nonvoc"; all others are
            the seen ones. None evaluates all.
        protocol: "budget", "per_class", "plain" or "federated", see `ggn.evaluation.protocols`.
        iou_type: overlap of boxes ("bbox") or of masks ("segm").

    Returns:
        AR_k: recall at k detections per image, mean over IoU 0.50:0.95. AR_s_100, AR_m_100,
        AR_l_100: by size. AP, AP_50, AP_75, AP_s, AP_m, AP_l at 100 detections per image. -1 where
        there is no object to measure on; AP is also -1 under "per_class", and on a federated
        dataset under any protocol but "federated". As in pycocotools, the size of a detection is
        the area of its box if the predictions have boxes.

    Raises:
        ValueError: faulty files (all faults are named), unknown category, protocol or iou_type.
        FileNotFoundError: no such file.
    """
    results = evaluate_partitions(
        annotations, predictions, {"": unseen}, protocol=protocol, iou_types=[iou_type]
    )
    before = prefix("", iou_type)
    return {name.removeprefix(before): value for name, value in results.items()}


def evaluate_partitions(
    annotations: Annotations,
    predictions: Predictions,
    partitions: Mapping[str, CategorySpec],
    *,
    protocol: ProtocolName = "budget",
    iou_types: Sequence[IouType] = ("bbox", "segm"),
) -> dict[str, float]:
    """Return metrics of several sets of categories, computing overlaps only once.

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
            before = prefix(name, iou_type)
            metrics |= {before + metric: value for metric, value in result.metrics.items()}
    return metrics


@dataclass(frozen=True)
class PartitionResult:
    """The metrics of one set of categories, and which of its objects were found."""

    metrics: dict[str, float]
    objects: ObjectRanks
    sums: RecallSums
    """What each image adds to the recalls."""


def evaluate_inputs(
    inputs: EvaluationInputs,
    partitions: Mapping[str, CategorySpec],
    *,
    protocol: ProtocolName,
    iou_type: IouType,
    follow: Follow = iter,
) -> dict[str, PartitionResult]:
    """Evaluate what `read_inputs` has read; return the results by partition.

    Args:
        inputs: read with `iou_type` among its `iou_types`.
        partitions: as in `evaluate_partitions`.
        protocol: as in `evaluate`.
        iou_type: as in `evaluate`.
        follow: passes the images through, so that a progress bar can count them.

    Raises:
        ValueError: unknown category, or "federated" for a dataset that is not federated.
    """
    rules = PROTOCOLS[protocol]
    if rules.needs_federation and not inputs.images.federation:
        raise ValueError(
            f"protocol {protocol!r} needs {' and '.join(FEDERATION_KEYS)} in the images of the "
            "annotations, as LVIS has them"
        )
    if rules.needs_federation and not inputs.predictions.have_categories:
        raise ValueError(
            f"{inputs.predictions.name}: protocol {protocol!r} compares categories, "
            "which a store of masks does not have"
        )
    evaluated = {name: _category_ids(inputs, spec) for name, spec in partitions.items()}
    comparisons = {name: _Comparison() for name in partitions}
    tasks = (
        partial(_compare, read, evaluated, rules)
        for read in inputs.arrays(iou_type, max_detections=BUDGETS[-1])
    )
    for image in follow(in_order(tasks, _TOGETHER)):
        _add(image, comparisons)
    return {
        name: PartitionResult(
            summarize(compared.tallies.values(), rules.has_precision and compared.is_verified),
            compared.ranks.gathered(),
            compared.sums.gathered(),
        )
        for name, compared in comparisons.items()
    }


def prefix(partition: str, iou_type: IouType) -> str:
    """Return the prefix of a partition's metric names, such as "unseen/mask_"."""
    return f"{partition}/{IOU_TYPE_NAMES[iou_type]}_"


def _check_choice(key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{key} must be one of {list(allowed)}, got {value!r}")


def _category_ids(inputs: EvaluationInputs, spec: CategorySpec) -> NDArray[np.int64]:
    if spec is None:
        return np.array([category["id"] for category in inputs.categories], np.int64)
    chosen = spec if isinstance(spec, str) else [_word(entry) for entry in spec]
    ids = resolve_categories(inputs.categories, chosen, inputs.used_categories)
    return np.array(ids, np.int64)


def _word(entry: Any) -> Any:
    """Return an id as a word that can only mean this id."""
    is_id = isinstance(entry, int | np.integer) and not isinstance(entry, bool)
    return f"id:{entry}" if is_id else entry


@dataclass
class _Comparison:
    """What is kept of one partition while images are compared."""

    tallies: dict[Hashable, dict[str, Tally]] = field(default_factory=dict)
    """View key -> area range -> tally."""
    ranks: RanksSoFar = field(default_factory=RanksSoFar)
    sums: SumsSoFar = field(default_factory=SumsSoFar)
    is_verified: bool = True


@dataclass(frozen=True)
class ComparedView:
    """An image in one view of one partition: detections and objects by area range."""

    partition: str
    key: Hashable
    spent: Sequence[Spent]
    n_objects: Sequence[int]
    hits: NDArray[np.int64]
    """(M,) of each of `sums.RECALL_NAMES`."""
    counted: Bools
    """(G,) in the range of all areas."""
    taker: NDArray[np.int32]
    """(T, G) in the range of all areas."""


@dataclass(frozen=True)
class ComparedImage:
    """What is kept of an image after its detections are matched."""

    image: ImageArrays
    views: Sequence[ComparedView]
    is_verified: Mapping[str, bool]
    """By partition."""


def _compare(
    read: Callable[[], ImageArrays],
    evaluated: Mapping[str, NDArray[np.int64]],
    protocol: Protocol,
) -> ComparedImage:
    """Match one image in all views and area ranges of all partitions at once."""
    image = read()
    overlaps = ImageOverlaps(
        image.iou, image.category_ids, image.crowd, image.detection_category_ids, image.federation
    )
    verified = {
        name: protocol.needs_federation or is_verified(overlaps, category_ids)
        for name, category_ids in evaluated.items()
    }
    views = {
        (name, key): view
        for name, category_ids in evaluated.items()
        for key, view in protocol.views(overlaps, category_ids).items()
    }
    return ComparedImage(image.without_overlaps(), _match(image, views, protocol), verified)


def _match(
    image: ImageArrays, views: Mapping[tuple[str, Hashable], View], protocol: Protocol
) -> list[ComparedView]:
    if not views:
        return []
    n_ranges = len(AREA_RANGES)

    def in_each_range(name: str) -> Bools:
        return np.repeat([getattr(view, name) for view in views.values()], n_ranges, axis=0)

    counted = in_each_range("counted") & np.tile(within_ranges(image.areas), (len(views), 1))
    takes_part = in_each_range("takes_part")
    matches = match(
        image.iou,
        image.crowd,
        present=in_each_range("present"),
        counted=counted,
        frees=in_each_range("frees"),
        takes_part=takes_part,
    )
    # A detection that finds nothing is not a false alarm if it is of another size.
    is_excused = np.repeat([not view.is_exhaustive for view in views.values()], n_ranges)[:, None]
    is_excused = is_excused | np.tile(~within_ranges(image.detection_areas), (len(views), 1))
    budget = protocol.precision_budget if protocol.has_precision else 0
    spent = list(
        spend(matches, image.scores, takes_part, in_each_range("holds_place"), is_excused, budget)
    )
    n_objects = counted.sum(axis=1).tolist()
    return [
        ComparedView(
            name,
            key,
            spent[r : r + n_ranges],
            n_objects[r : r + n_ranges],
            recall_hits(spent[r : r + n_ranges]),
            counted[r],
            matches.taker[r],
        )
        for r, (name, key) in zip(range(0, len(spent), n_ranges), views, strict=True)
    ]


def _add(compared: ComparedImage, comparisons: Mapping[str, _Comparison]) -> None:
    """Add one image to the comparison of each partition."""
    for name, verified in compared.is_verified.items():
        comparisons[name].is_verified &= verified
        comparisons[name].sums.next_image()
    for view in compared.views:
        comparison = comparisons[view.partition]
        tallies = comparison.tallies.setdefault(view.key, {size: Tally() for size in AREA_RANGES})
        for tally, spent, n_objects in zip(
            tallies.values(), view.spent, view.n_objects, strict=True
        ):
            tally.add(spent, n_objects)
        comparison.sums.add(view.key, view.hits, view.n_objects)
        comparison.ranks.add(compared.image, view.counted, view.taker, view.spent[0].ranks)
