"""The finest partition: seeds at the local maxima of the affinity, and a watershed from them."""

import math

import numpy as np
from numpy.typing import NDArray

from ggn.grouping import _kernels


def seed_distance(size_hw: tuple[int, int], share: float, minimum: int) -> int:
    """Return the least distance between seeds in pixels of an image of (height, width).

    It is `share` of the square root of the image's area: twice the resolution, twice the distance,
    the same regions. In small images `minimum` holds.
    """
    return max(minimum, round(share * math.sqrt(size_hw[0] * size_hw[1])))


def oversegment(affinity: NDArray[np.int16], distance: int) -> tuple[NDArray[np.int32], int]:
    """Return the regions 0..n-1 of every pixel (H, W), and n.

    Seeds are the 8-connected sets of pixels that no pixel nearer than `distance` exceeds in
    affinity; so the pixels of different seeds are at least `distance` apart along x or y. The
    watershed grows them down the affinity, 8-connected; ties go to the seed that came first.
    """
    markers, count = _kernels.find_seeds(affinity, distance - 1)
    return _kernels.watershed(affinity, markers), count
