"""Average recall and precision: tallies the matches of all images, then computes the metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.budget import BUDGETS, Spent
from ggn.evaluation.matching import IOU_THRESHOLDS, Bools
from ggn.evaluation.order import in_order

REFERENCE_BUDGET = 100
"""Detections per image for recall by size, and for AP (except under `federated`)."""

AREA_RANGES = {
    "all": (0.0, 1e5**2),
    "s": (0.0, 32.0**2),
    "m": (32.0**2, 96.0**2),
    "l": (96.0**2, 1e5**2),
}
"""COCO's sizes: area in square pixels, both ends included."""

RECALL_LEVELS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)

METRIC_NAMES = (
    *(f"AR_{budget}" for budget in BUDGETS),
    *(f"AR_{size}_{REFERENCE_BUDGET}" for size in ("s", "m", "l")),
    *("AP", "AP_50", "AP_75", "AP_s", "AP_m", "AP_l"),
)

UNDEFINED = -1.0
"""COCO's value of a metric without objects to measure it on."""


@dataclass
class Tally:
    """What is kept of the images so far, for one area range of one comparison.

    Memory: a score and two 16-bit sets of thresholds for each of the 100 best detections per image.
    """

    n_objects: int = 0
    hits_per_budget: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(BUDGETS), len(IOU_THRESHOLDS)), np.int64)
    )
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    hits: list[NDArray[np.uint16]] = field(default_factory=list)
    ignored: list[NDArray[np.uint16]] = field(default_factory=list)

    def add(self, spent: Spent, n_objects: int) -> None:
        """Add an image: what one view of it has spent, and how many objects count there."""
        self.hits_per_budget += spent.hits_per_budget
        self.n_objects += n_objects
        if len(spent.scores):  # most categories of a federated dataset have none in an image
            self.scores.append(spent.scores)
            self.hits.append(spent.hit_at)
            self.ignored.append(spent.ignored_at)

    def recall(self) -> NDArray[np.float64]:
        """Recall (K, T) per budget and IoU threshold; there must be objects."""
        return self.hits_per_budget / self.n_objects

    def precision(self) -> NDArray[np.float64]:
        """Interpolated precision (T, R) at the recall levels, 0 beyond the highest recall.

        Equal scores stay in the order of the images, as in COCOeval.
        """
        precision = np.zeros((len(IOU_THRESHOLDS), len(RECALL_LEVELS)))
        if not self.scores:
            return precision
        order = np.argsort(-np.concatenate(self.scores), kind="stable")
        hits, ignored = np.concatenate(self.hits)[order], np.concatenate(self.ignored)[order]
        for threshold, row in enumerate(precision):
            is_hit = (hits >> threshold) & 1 == 1
            n_considered = np.cumsum((ignored >> threshold) & 1 == 0)[is_hit]
            n_hits = np.arange(1, len(n_considered) + 1)
            at_hit = n_hits / (n_considered + np.spacing(1))
            best_from_here = np.maximum.accumulate(at_hit[::-1])[::-1]
            # Recall rises only at hits, so hits alone determine the curve.
            level = np.searchsorted(n_hits / self.n_objects, RECALL_LEVELS)
            reached = level < len(n_hits)
            row[reached] = best_from_here[level[reached]]
        return precision


def within_ranges(areas: NDArray[np.float64]) -> Bools:
    """Return whether each of N areas lies in each range of `AREA_RANGES`: (4, N)."""
    return np.stack([(areas >= low) & (areas <= high) for low, high in AREA_RANGES.values()])


def summarize(tallies: Iterable[Mapping[str, Tally]], has_precision: bool) -> dict[str, float]:
    """Return the metrics `METRIC_NAMES` from one or more comparisons with a tally per area range.

    Means are over IoU thresholds (AP: recall levels too) and over the comparisons that have objects
    in the area range; -1 where none has, and for AP if the protocol has no precision.
    """
    comparisons = list(tallies)
    metrics = dict.fromkeys(METRIC_NAMES, UNDEFINED)
    present = {
        size: [sizes[size] for sizes in comparisons if sizes[size].n_objects > 0]
        for size in AREA_RANGES
    }
    tasks = [tally.precision for found in present.values() for tally in found]
    precisions = in_order(tasks if has_precision else [])
    for size, found in present.items():
        if found:
            metrics |= _recall_metrics(size, np.mean([t.recall() for t in found], axis=(0, 2)))
        if found and has_precision:
            precision = list(islice(precisions, len(found)))
            metrics |= _precision_metrics(size, np.mean(precision, axis=0))
    return metrics


def _recall_metrics(size: str, recall: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean recall at each budget, by metric name."""
    by_budget = dict(zip(BUDGETS, recall.tolist(), strict=True))
    if size == "all":
        return {f"AR_{budget}": value for budget, value in by_budget.items()}
    return {f"AR_{size}_{REFERENCE_BUDGET}": by_budget[REFERENCE_BUDGET]}


def _precision_metrics(size: str, precision: NDArray[np.float64]) -> dict[str, float]:
    """Return mean precisions by metric name, from (T, R); T = 0 is IoU 0.50, T = 5 is 0.75."""
    if size != "all":
        return {f"AP_{size}": float(precision.mean())}
    return {
        "AP": float(precision.mean()),
        "AP_50": float(precision[0].mean()),
        "AP_75": float(precision[5].mean()),
    }
