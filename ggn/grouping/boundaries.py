"""Boundary strength: the checked affinity map, and the arcs between regions of a partition."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core.checkout import require_fresh_build
from ggn.grouping import _kernels

SOURCES = (
    "_fixed_point.hpp",
    "_watershed.hpp",
    "_arcs.hpp",
    "_sums.hpp",
    "_trees.hpp",
    "_kernels.pyx",
)
"""Of the compiled module, as in CMakeLists.txt."""
UNIT = _kernels.UNIT
"""Affinities are integers in units of 1 / UNIT, so that sums are exact in any order."""
MOST_PIXELS = 2**31 - 1
"""Pixels, including those of a frame around the image, are numbered by 32-bit integers."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """The region adjacency graph: the cracks (pixel sides) between two regions form an arc."""

    ends: NDArray[np.int32]
    """(E, 2) region numbers, the smaller first, sorted."""
    length: NDArray[np.int64]
    """(E,) cracks."""
    strength: NDArray[np.int64]
    """(E,) sum over cracks of the oriented boundary strength, in 1 / UNIT."""
    affinity: NDArray[np.int64]
    """(E,) sum over cracks of the affinities of the pixels on both sides, in 1 / UNIT."""


def fixed_affinity(affinity: ArrayLike) -> NDArray[np.int16]:
    """Return the map (H, W) of floats in [0, 1] as integers 0..UNIT.

    Raises:
        ValueError: it is not two-dimensional, is empty, has another type, or has a value that is
            not finite or outside [0, 1]; the message names the first such pixel.
    """
    given: NDArray[Any] = np.asarray(affinity)
    if given.ndim != 2 or given.size == 0:
        raise ValueError(f"affinity must be (H, W) with H, W > 0, got {given.shape}")
    if given.dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f"affinity must be float16, float32 or float64, got {given.dtype}")
    if (given.shape[0] + 2) * (given.shape[1] + 2) > MOST_PIXELS:
        raise ValueError(
            f"affinity must have at most 2^31 - 1 pixels, frame included, got {given.shape}"
        )
    fixed, first_bad = _kernels.quantise(np.ascontiguousarray(given, dtype=np.float32))
    if first_bad >= 0:
        y, x = divmod(first_bad, given.shape[1])
        raise ValueError(
            f"affinity must be finite and in [0, 1], got {given[y, x]} at row {y}, column {x}"
        )
    return fixed


def find_arcs(affinity: NDArray[np.int16], labels: NDArray[np.int32]) -> Arcs:
    """Return the arcs between the regions of `labels` (H, W) with their oriented strength.

    A crack's strength is the larger (1 - affinity) of its two pixels times the |cos| of the angle
    between the arc and the ridge of the boundary map there: a watershed line that merely crosses a
    boundary does not get its strength (oriented watershed, gPb-OWT-UCM; GGN, section 3.2).
    """
    smooth = _kernels.smooth_triangle(affinity)
    ends, length, strength, sides = _kernels.find_arcs(affinity, labels, smooth)
    return Arcs(ends, length, strength, sides)


require_fresh_build(Path(__file__).parent, SOURCES, _kernels.SOURCE_HASH, _kernels.__file__)
