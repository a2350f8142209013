"""The finest partition: seeds at the local maxima of the affinity, and a watershed from them."""

import math

import numpy as np
from numpy.typing import NDArray

from ggn.grouping import _kernels


def seed_distance(size_hw: tuple[int, int], share: float, minimum: int) -> int:
    """Return the least distance between seeds in pixels of an image of (height, width).

    It is `share` of the square root of the image's area, so that regions don't depend on the
    resolution, and at least `minimum`.
    """
    return max(minimum, round(share * math.sqrt(size_hw[0] * size_hw[1])))


def oversegment(affinity: NDArray[np.int16], distance: int) -> tuple[NDArray[np.int32], int]:
    """Return the regions 0..n-1 of every pixel (H, W), and n.

    A seed is an 8-connected set of pixels with no pixel of higher affinity nearer than `distance`.
    Pixels of different seeds are therefore at least `distance` apart along x or y. The watershed
    grows seeds down the affinity, 8-connected; ties go to the seed that comes first.
    """
    markers, count = _kernels.find_seeds(affinity, distance - 1)
    return _kernels.watershed(affinity, markers), count
