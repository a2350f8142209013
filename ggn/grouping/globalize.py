"""The global boundary: how much the image's slowest vibrations change across an arc."""

import numpy as np
from numpy.typing import NDArray

from ggn.grouping.boundaries import Arcs


def globalize(
    arcs: Arcs, affinity: NDArray[np.int16], labels: NDArray[np.int32], weight: float
) -> Arcs:
    raise NotImplementedError
