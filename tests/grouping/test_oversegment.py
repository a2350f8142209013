"""Seeds and watershed: by hand, by properties, against scikit-image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import ArrayLike, NDArray
from skimage.measure import label
from skimage.morphology import local_minima
from skimage.segmentation import watershed

from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, fixed_affinity
from ggn.grouping.oversegment import oversegment, seed_distance


def fixed(rows: ArrayLike) -> NDArray[np.int16]:
    units: NDArray[np.int16] = (np.array(rows) * UNIT / 8).astype(np.int16)
    return units


def test_seeds_of_a_line_are_its_local_maxima() -> None:
    line = fixed([[8, 6, 2, 6, 8, 4, 7]])
    assert _kernels.find_seeds(line, 1)[0].tolist() == [[1, 0, 0, 0, 2, 0, 3]]
    assert _kernels.find_seeds(line, 2)[0].tolist() == [[1, 0, 0, 0, 2, 0, 0]]
    assert _kernels.find_seeds(line, 100)[0].tolist() == [[1, 0, 0, 0, 2, 0, 0]]


def test_a_plateau_is_one_seed_even_across_a_diagonal() -> None:
    markers, count = _kernels.find_seeds(fixed([[8, 8, 0, 0], [0, 0, 8, 0], [0, 1, 0, 0]]), 1)
    assert count == 1
    assert markers.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_the_watershed_of_a_line_parts_at_the_lowest_affinity() -> None:
    line = fixed([[8, 6, 2, 6, 8, 4, 7]])
    # Pixel 2 is reached from both sides at the same level; the first seed came first.
    assert oversegment(line, 2)[0].tolist() == [[0, 0, 0, 1, 1, 1, 2]]


def test_the_watershed_of_a_square_with_a_gap() -> None:
    square = fixed(
        [
            [8, 8, 1, 8, 8],
            [8, 8, 1, 8, 8],
            [8, 8, 2, 8, 8],
            [1, 1, 1, 1, 1],
            [8, 8, 8, 8, 8],
        ]
    )
    labels, count = oversegment(square, 2)
    assert count == 3
    # The gap (2) is flooded before the wall (1), from the left; then each seed takes the wall
    # pixels that it reaches first.
    assert labels.tolist() == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [2, 2, 2, 2, 2],
    ]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (4, 5)])
def test_a_blank_map_is_one_region(size_hw: tuple[int, int]) -> None:
    for value in (0, UNIT // 2, UNIT):
        labels, count = oversegment(np.full(size_hw, value, np.int16), 3)
        assert count == 1
        assert (labels == 0).all()


def test_a_checkerboard_is_one_region_because_diagonals_connect() -> None:
    board = fixed(np.indices((6, 7)).sum(axis=0) % 2 * 8)
    assert oversegment(board, 3)[1] == 1


def test_distances_follow_the_image_and_never_fall_below_the_minimum() -> None:
    assert seed_distance((480, 640), 0.015, 3) == 8  # 0.015 * 554
    assert seed_distance((960, 1280), 0.015, 3) == 17
    assert seed_distance((96, 96), 0.015, 3) == 3
    assert seed_distance((1, 100_000), 0.015, 3) == 5


maps = arrays.arrays(
    np.int16,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([0, 1, 4096, 8192, 12288, 16383, UNIT]),
)


@settings(deadline=None, max_examples=100)
@given(maps, st.integers(2, 5))
def test_seeds_keep_their_distance_and_every_pixel_gets_a_region(
    affinity: NDArray[Any], distance: int
) -> None:
    markers, count = _kernels.find_seeds(affinity, distance - 1)
    assert set(np.unique(markers)) <= set(range(count + 1))
    seeds = np.argwhere(markers)
    for here in seeds:
        far = np.abs(seeds - here).max(axis=1) >= distance
        same = markers[tuple(seeds.T)] == markers[tuple(here)]
        equal = affinity[tuple(seeds.T)] == affinity[tuple(here)]
        assert (far | same | equal).all()  # nearer ones only on a level, apart by a dip
    labels, regions = oversegment(affinity, distance)
    assert regions == count
    assert np.unique(labels).tolist() == list(range(count))
    assert (labels[markers > 0] == markers[markers > 0] - 1).all()
    for region in range(count):
        assert label(labels == region, connectivity=2).max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_image_where_no_two_pixels_tie(seed: int) -> None:
    random = np.random.default_rng(seed)
    affinity = random.permutation(41 * 53).reshape(41, 53).astype(np.int16)
    markers = label(local_minima(-affinity), connectivity=2).astype(np.int32)
    expected = watershed(-affinity, markers, connectivity=2) - 1
    np.testing.assert_array_equal(_kernels.watershed(affinity, markers), expected)


def noisy(affinity: NDArray[Any]) -> NDArray[np.int16]:
    random = np.random.default_rng(0)
    return fixed_affinity(np.clip(affinity - 0.01 * random.random(affinity.shape), 0, 1))


def test_twice_the_resolution_gives_as_many_regions(
    cell_map: Callable[..., NDArray[np.float32]],
) -> None:
    small = cell_map(3, cells=20, size_hw=(240, 320))
    large = np.kron(small, np.ones((2, 2), np.float32))
    counts = [
        oversegment(noisy(a), seed_distance((a.shape[0], a.shape[1]), 0.015, 3))[1]
        for a in (small, large)
    ]
    assert counts[0] > 100
    assert counts[1] == pytest.approx(counts[0], rel=0.25)
    # A distance fixed in pixels would not do: the granularity would change with the resolution.
    fixed_counts = [oversegment(noisy(a), 4)[1] for a in (small, large)]
    assert fixed_counts[1] > 2 * fixed_counts[0]
