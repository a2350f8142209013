"""What the detections of an image spend of each budget, and what they get for it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation import _overlaps
from ggn.evaluation.matching import IOU_THRESHOLDS, Bools, Matches, as_bytes

BUDGETS = (10, 20, 30, 50, 100, 300, 500, 1000, 1500)
"""Detections per image, the k of AR_k; detections beyond the last are never looked at."""

NEVER = 65535
"""The place of an object that no detection has found; beyond every budget."""


@dataclass(frozen=True)
class Spent:
    """One view of an image with D detections; sets of thresholds are bits, bit t is the t-th."""

    hits_per_budget: NDArray[np.int64]
    """(K, T) hits within each budget at each IoU threshold."""
    scores: NDArray[np.float64]
    """(P,) of the detections that precision looks at, in order."""
    hit_at: NDArray[np.uint16]
    """(P,) where each of them has found an object that counts."""
    ignored_at: NDArray[np.uint16]
    """(P,) where each of them is neither a hit nor a false alarm."""
    places: NDArray[np.uint16]
    """(D,) the place of each detection in the budget, from 1; `NEVER` for one without."""


def spend(
    matches: Matches,
    scores: NDArray[np.float64],
    takes_part: Bools,
    holds_place: Bools,
    excused: Bools,
    precision_budget: int,
) -> Iterator[Spent]:
    """Give the places of the budget to the detections, in order, in each of V views.

    Args:
        matches: of V views.
        scores: (D,) of the detections.
        takes_part: (V, D) detections that precision looks at, if they have a place.
        holds_place: (V, D) detections that use up the budget, unless freed.
        excused: (V, D) detections that are no false alarms where they have found nothing; where
            they have found an object that does not count, none is.
        precision_budget: the places that precision looks at.
    """
    hits, counts, best, hit_at, ignored_at, places = _overlaps.spend(
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
    # one after the other, so that nothing stays in memory but what is kept
    is_filled = np.arange(precision_budget) < counts[:, None]
    of_best, hit_at, ignored_at = scores[best[is_filled]], hit_at[is_filled], ignored_at[is_filled]
    ends = np.cumsum(counts).tolist()
    for view, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        yield Spent(
            hits[view],
            of_best[start:end],
            hit_at[start:end],
            ignored_at[start:end],
            places[view],
        )
