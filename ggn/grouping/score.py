"""The sums per segment, and the five scores computed from them; higher is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.grouping.params import ScoreName

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over each of N segments, every field (N,); affinities and strengths are in [0, 1]."""

    area: Floats
    """Pixels."""
    affinity: Floats
    """Over these pixels."""
    frame: Floats
    """Pixel sides on the image frame."""
    rim: Floats
    """Pixels with a 4-neighbour outside the segment."""
    rim_affinity: Floats
    outline: Floats
    """Cracks: pixel sides between the segment and the rest of the image."""
    outline_affinity: Floats
    """Over the pixels on both sides of each crack, so over 2 * outline pixels."""
    outline_strength: Floats
    """Boundary strength over the cracks, as in the arcs."""

    def __getitem__(self, segments: NDArray[np.integer] | slice) -> "Sums":
        """Return the sums of the given segments."""
        return Sums(**{name: values[segments] for name, values in vars(self).items()})

    def __add__(self, others: "Sums") -> "Sums":
        """Return the sums of these segments, followed by those of others."""
        return Sums(**{k: np.concatenate([v, getattr(others, k)]) for k, v in vars(self).items()})


def mean(total: Floats, count: Floats) -> Floats:
    """Return total / count, and 0 where nothing was counted."""
    return total / np.maximum(count, 1)


def outline_mean(sums: Sums) -> Floats:
    """Return the mean affinity on both sides of the outline, (N,)."""
    return mean(sums.outline_affinity, 2 * sums.outline)


def interior_mean(sums: Sums) -> Floats:
    """Return the mean affinity of the segment without its rim; of all pixels if all are rim."""
    inside = mean(sums.affinity - sums.rim_affinity, sums.area - sums.rim)
    return np.where(sums.area > sums.rim, inside, mean(sums.affinity, sums.area))


def outline_affinity(sums: Sums) -> Floats:
    """Return 1 - the mean affinity on the outline."""
    return 1 - outline_mean(sums)


def interior_affinity(sums: Sums) -> Floats:
    """Return 1 + the mean affinity of the segment, rim included."""
    return 1 + mean(sums.affinity, sums.area)


def interior_minus_twice_outline(sums: Sums) -> Floats:
    """Return 1 + (affinity of the segment - 2 * affinity on the outline) / area."""
    return 1 + mean(sums.affinity - 2 * sums.outline_affinity, sums.area)


def outline_minus_interior(sums: Sums) -> Floats:
    """Return 1 - (mean affinity on the outline - mean affinity of the interior)."""
    return 1 - (outline_mean(sums) - interior_mean(sums))


def normalized_cut(sums: Sums) -> Floats:
    """Return 1 - the outline's share of all affinity on the outline and in the interior."""
    total = sums.affinity - sums.rim_affinity + sums.outline_affinity
    return 1 - np.divide(sums.outline_affinity, total, out=np.ones_like(total), where=total > 0)


SCORES: dict[ScoreName, Callable[[Sums], Floats]] = {
    "outline_affinity": outline_affinity,
    "interior_affinity": interior_affinity,
    "interior_minus_twice_outline": interior_minus_twice_outline,
    "outline_minus_interior": outline_minus_interior,
    "normalized_cut": normalized_cut,
}
"""The reference's ranking methods 0 to 4, each 1 - its value (lower was better there)."""
