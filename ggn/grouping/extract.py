"""From an image to its candidate segments: shrink it, predict its affinity, group that."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ggn.data.images import shrink
from ggn.grouping.params import GroupingParams
from ggn.grouping.regions import Candidates, candidates

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""RGB image, uint8 (H, W, 3) -> affinity, float32 (H, W) in [0, 1]."""


def affinity_of(
    image: NDArray[np.uint8], predict: Predict, longest_side: int | None
) -> NDArray[np.float32]:
    """Return the affinity of an image at the size that `grouping.longest_side` allows."""
    return predict(shrink(image, longest_side))


def candidates_of(
    image: NDArray[np.uint8], predict: Predict, params: GroupingParams
) -> tuple[NDArray[np.float32], Candidates]:
    """Return the affinity of an image and its ranked segments, both of the affinity's size.

    Args:
        image: RGB, uint8 (H, W, 3).
        predict: such as `AffinityPredictor.predict`.
        params: larger images than `longest_side` are shrunk first; `Instances.resized` brings the
            segments back to the image's size.
    """
    affinity = affinity_of(image, predict, params.longest_side)
    return affinity, candidates(affinity, params)
