"""An image larger than the limit is shrunk first; its segments have the size of its affinity."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ggn.grouping import GroupingParams, affinity_of, candidates, candidates_of

Image = NDArray[np.uint8]


def halves(image: Image) -> NDArray[np.float32]:
    """An affinity of two halves, as a network would give it: 0 down the middle."""
    affinity = np.ones(image.shape[:2], np.float32)
    affinity[:, image.shape[1] // 2] = 0
    return affinity


@pytest.mark.parametrize(
    ("longest_side", "size_hw"),
    [(None, (40, 80)), (80, (40, 80)), (64, (32, 64)), (32, (16, 32))],
)
def test_segments_have_the_size_at_which_the_image_was_seen(
    longest_side: int | None, size_hw: tuple[int, int]
) -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    assert affinity_of(image, halves, longest_side).shape == size_hw
    affinity, found = candidates_of(image, halves, GroupingParams(longest_side=longest_side))
    assert affinity.shape == found.instances.image_size_hw == size_hw
    assert len(found.instances) == 2


def test_the_params_are_those_of_the_grouping() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    params = GroupingParams(min_area=10_000)
    affinity, found = candidates_of(image, halves, params)
    assert len(found.instances) == len(candidates(affinity, params).instances) == 0
