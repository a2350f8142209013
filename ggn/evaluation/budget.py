"""Counts an image's detections against each budget, and the objects that they find with it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation import _overlaps
from ggn.evaluation.matching import IOU_THRESHOLDS, Bools, Matches, as_bytes

BUDGETS = (10, 20, 30, 50, 100, 300, 500, 1000, 1500)
"""Detections per image, the k of AR_k; detections beyond the largest are ignored."""

NEVER = 65535
"""The rank of an object that no detection has found; beyond every budget."""


@dataclass(frozen=True)
class Spent:
    """One view of an image with D detections. In sets of thresholds, bit t is the t-th one."""

    hits_per_budget: NDArray[np.int64]
    """(K, T) hits within each budget at each IoU threshold."""
    scores: NDArray[np.float64]
    """(P,) scores of the detections that precision uses, in order."""
    hit_at: NDArray[np.uint16]
    """(P,) where each of them has found an object that counts."""
    ignored_at: NDArray[np.uint16]
    """(P,) where each of them is neither a hit nor a false alarm."""
    ranks: NDArray[np.uint16]
    """(D,) the rank of each detection in the budget, from 1; `NEVER` if it has none."""


def spend(
    matches: Matches,
    scores: NDArray[np.float64],
    takes_part: Bools,
    holds_place: Bools,
    excused: Bools,
    precision_budget: int,
) -> Iterator[Spent]:
    """Rank the detections within the budget, in order, in each of V views.

    Args:
        matches: of V views.
        scores: (D,) of the detections.
        takes_part: (V, D) detections that precision uses, if they have a rank.
        holds_place: (V, D) detections that use up the budget, unless freed.
        excused: (V, D) detections that are not false alarms if they find nothing. A detection that
            finds an object that does not count is never a false alarm.
        precision_budget: the number of ranks that precision uses.
    """
    hits, counts, best, hit_at, ignored_at, ranks = _overlaps.spend(
        matches.matched_at,
        matches.hit_at,
        as_bytes(matches.freed),
        as_bytes(takes_part),
        as_bytes(holds_place),
        as_bytes(excused),
        np.array(BUDGETS),
        len(IOU_THRESHOLDS),
        precision_budget,
        NEVER,
    )
    # one view at a time, to keep the memory small
    is_filled = np.arange(precision_budget) < counts[:, None]
    of_best, hit_at, ignored_at = scores[best[is_filled]], hit_at[is_filled], ignored_at[is_filled]
    ends = np.cumsum(counts).tolist()
    for view, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        yield Spent(
            hits[view],
            of_best[start:end],
            hit_at[start:end],
            ignored_at[start:end],
            ranks[view],
        )
