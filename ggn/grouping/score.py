"""The five scores of a segment, from its sums; the higher, the likelier an object."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.grouping.params import ScoreName

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sums:
    """What is added up per segment; every field is (N,), affinities in [0, 1]."""

    area: Floats
    affinity: Floats
    """Over all pixels of the segment."""
    outline: Floats
    """Cracks between the segment and the rest of the image."""
    outline_affinity: Floats
    """Over the pixels on both sides of these cracks: 2 * outline of them, repeated ones too."""
    rim: Floats
    """Pixels of the segment that have a 4-neighbour outside it."""
    rim_affinity: Floats
    frame: Floats
    """Pixel sides of the segment on the image frame."""


def mean(total: Floats, count: Floats) -> Floats:
    """Return total / count, 0 where nothing was counted."""
    return total / np.maximum(count, 1)


def outline_mean(sums: Sums) -> Floats:
    """Return the mean affinity on the outline, of the pixels on both sides of it."""
    return mean(sums.outline_affinity, 2 * sums.outline)


def interior_mean(sums: Sums) -> Floats:
    """Return the mean affinity of the segment without its rim; of all of it if it is all rim."""
    interior = sums.area - sums.rim
    inside = mean(sums.affinity - sums.rim_affinity, interior)
    return np.where(interior > 0, inside, mean(sums.affinity, sums.area))


def all_scores(sums: Sums) -> dict[ScoreName, Floats]:
    """Return each score, (N,), as 1 - the reference's value (GGN; lower was better there)."""
    area_mean = mean(sums.affinity, sums.area)
    outline, interior = outline_mean(sums), interior_mean(sums)
    on_outline = sums.outline_affinity / 2
    inside = sums.affinity - sums.rim_affinity
    return {
        "outline_affinity": 1 - outline,
        "interior_affinity": 1 + area_mean,
        "interior_minus_twice_outline": 1 + (sums.affinity - 2 * on_outline) / sums.area,
        "outline_minus_interior": 1 - (outline - interior),
        "normalized_cut": 1 - on_outline / np.maximum(inside + on_outline, 1e-12),
    }
