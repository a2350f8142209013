"""The eight neighbours of a pixel, in the order of the affinity channels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NEIGHBOUR_OFFSETS: Final[NDArray[np.int64]] = np.array(
    [(-1, 0), (0, -1), (-1, -1), (1, -1), (1, 0), (0, 1), (1, 1), (-1, 1)], dtype=np.int64
)
"""(8, 2) rows (dy, dx): up, left, up-left, down-left, down, right, down-right, up-right."""
NEIGHBOUR_OFFSETS.setflags(write=False)
