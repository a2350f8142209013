"""Confidence intervals of recalls, and of the differences between two models."""

from collections.abc import Mapping, Sequence

from ggn.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    recall_intervals,
    recall_samples,
)
from ggn.evaluation.evaluator import (
    Annotations,
    CategorySpec,
    PartitionResult,
    Predictions,
    evaluate_inputs,
    prefix,
)
from ggn.evaluation.inputs import read_inputs
from ggn.evaluation.params import IouType, ProtocolName

HOW = {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED}
"""How the intervals are computed, for reports."""

Results = Mapping[str, PartitionResult]
"""By partition, or another name."""

Intervals = dict[str, dict[str, Interval]]
"""By result and metric; a recall without objects to measure on is left out."""


def of_results(results: Results) -> Intervals:
    """Return the 95 % intervals of the recalls of each result."""
    return {name: recall_intervals(recall_samples(result.sums)) for name, result in results.items()}


def of_pair(models: Mapping[str, Results]) -> tuple[dict[str, Intervals], Intervals]:
    """Return the intervals of two models, and those of the differences: second - first.

    Both are measured on the same resampled images. An image that is difficult for one tends to be
    difficult for the other, so the interval of the difference is narrower than the other two.

    Args:
        models: the results of two models by name, each with the same keys.

    Raises:
        ValueError: the two were not measured on the same images or objects.
    """
    of_models: dict[str, Intervals] = {name: {} for name in models}
    of_difference: Intervals = {}
    (first, first_results), (second, second_results) = models.items()
    for name in first_results:
        before, after = first_results[name].sums, second_results[name].sums
        if before.n_images != after.n_images or before.objects.sum() != after.objects.sum():
            raise ValueError(f"{first} and {second} were not measured on the same images")
        samples, other = recall_samples(before), recall_samples(after)
        of_models[first][name] = recall_intervals(samples)
        of_models[second][name] = recall_intervals(other)
        of_difference[name] = recall_intervals(other - samples)
    return of_models, of_difference


def compare_partitions(
    annotations: Annotations,
    models: Mapping[str, Predictions],
    partitions: Mapping[str, CategorySpec],
    *,
    protocol: ProtocolName = "budget",
    iou_types: Sequence[IouType] = ("bbox", "segm"),
) -> Intervals:
    """Return the intervals of the recalls of two models, and of their differences.

    Args:
        annotations: as in `evaluate`.
        models: the predictions of two models by name, each as in `evaluate`.
        partitions: as in `evaluate_partitions`.
        protocol: as in `evaluate`.
        iou_types: as in `evaluate_partitions`.

    Returns:
        By model, and under "difference" for second - first: by metric, named as in
        `evaluate_partitions`.

    Raises:
        ValueError: as in `evaluate`.
        FileNotFoundError: as in `evaluate`.
    """
    results: dict[str, dict[str, PartitionResult]] = {name: {} for name in models}
    for name, predictions in models.items():
        inputs = read_inputs(annotations, predictions, iou_types)
        for iou_type in iou_types:
            found = evaluate_inputs(inputs, partitions, protocol=protocol, iou_type=iou_type)
            results[name] |= {prefix(part, iou_type): result for part, result in found.items()}
    of_models, of_difference = of_pair(results)
    return {
        name: {
            before + metric: ends for before, of in by_prefix.items() for metric, ends in of.items()
        }
        for name, by_prefix in {**of_models, "difference": of_difference}.items()
    }
