"""Every function of the kernel equals its slow twin, to the bit, on random maps full of ties."""

from random import Random
from typing import Any

import numpy as np
import pytest
import slow_twins
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from ggn.grouping import _kernels

UNIT = _kernels.UNIT
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=11)
few_levels = st.sampled_from([0, 1, 4096, 8192, 8193, 16383, UNIT])
maps = arrays.arrays(np.int16, SHAPES, elements=few_levels) | arrays.arrays(
    np.int16, SHAPES, elements=st.integers(0, UNIT)
)
Graph = tuple[int, slow_twins.Int32, slow_twins.Int64, slow_twins.Int64]
many = settings(deadline=None, max_examples=60)


def equal(kernel: Any, twin: Any) -> bool:
    """Equal in type and value, item by item."""
    if not isinstance(kernel, tuple):
        kernel, twin = (kernel,), (twin,)
    for ours, theirs in zip(kernel, twin, strict=True):
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    return True


def segmented(affinity: slow_twins.Int16, radius: int = 1) -> tuple[slow_twins.Int32, int]:
    markers, regions = _kernels.find_seeds(affinity, radius)
    return _kernels.watershed(affinity, markers), regions


def tree(
    affinity: slow_twins.Int16,
) -> tuple[slow_twins.Int32, slow_twins.Int32, slow_twins.Int32, slow_twins.Int32]:
    labels, regions = segmented(affinity)
    ends, length, strength, _ = _kernels.find_arcs(
        affinity, labels, _kernels.smooth_triangle(affinity)
    )
    parents, _, merged_at = _kernels.merge(regions, ends, strength, length)
    return labels, ends, parents, merged_at


def test_the_unit_is_the_same() -> None:
    assert _kernels.UNIT == slow_twins.UNIT


@many
@given(arrays.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32)))
def test_quantise(affinity: NDArray[np.float32]) -> None:
    assert equal(_kernels.quantise(affinity), slow_twins.quantise(affinity))


@many
@given(
    arrays.arrays(
        np.float32,
        SHAPES,
        elements=st.sampled_from([0, 0.5, 1, -1e-7, 1.0000001, np.nan, np.inf, -np.inf]),
    )
)
def test_quantise_finds_the_first_bad_value(affinity: NDArray[np.float32]) -> None:
    assert equal(_kernels.quantise(affinity), slow_twins.quantise(affinity))


@many
@given(maps, st.integers(1, 15))
def test_find_seeds(affinity: slow_twins.Int16, radius: int) -> None:
    assert equal(_kernels.find_seeds(affinity, radius), slow_twins.find_seeds(affinity, radius))


@many
@given(maps, st.integers(1, 3))
def test_watershed(affinity: slow_twins.Int16, radius: int) -> None:
    markers, _ = _kernels.find_seeds(affinity, radius)
    assert equal(_kernels.watershed(affinity, markers), slow_twins.watershed(affinity, markers))


@many
@given(maps, st.data())
def test_watershed_from_any_markers(affinity: slow_twins.Int16, data: st.DataObject) -> None:
    markers = data.draw(
        arrays.arrays(np.int32, affinity.shape, elements=st.sampled_from([0, 0, 0, 1, 2, 3]))
    )
    assert equal(_kernels.watershed(affinity, markers), slow_twins.watershed(affinity, markers))


@many
@given(maps)
def test_smooth_triangle(image: slow_twins.Int16) -> None:
    assert equal(_kernels.smooth_triangle(image), slow_twins.smooth_triangle(image))


@many
@given(maps)
def test_find_arcs_and_sum_regions(affinity: slow_twins.Int16) -> None:
    labels, regions = segmented(affinity)
    smooth = _kernels.smooth_triangle(affinity)
    assert equal(
        _kernels.find_arcs(affinity, labels, smooth), slow_twins.find_arcs(affinity, labels, smooth)
    )
    assert equal(
        _kernels.sum_regions(affinity, labels, regions),
        slow_twins.sum_regions(affinity, labels, regions),
    )


@many
@given(maps, st.integers(0, 2**32 - 1))
def test_link_regions_and_sum_places(affinity: slow_twins.Int16, seed: int) -> None:
    labels, regions = segmented(affinity)
    ends, *_ = _kernels.find_arcs(affinity, labels, _kernels.smooth_triangle(affinity))
    table = np.random.default_rng(seed).random(UNIT + 1)
    arguments = (affinity, labels, table, regions, ends)
    assert equal(_kernels.link_regions(*arguments), slow_twins.link_regions(*arguments))
    assert equal(_kernels.sum_places(labels, regions), slow_twins.sum_places(labels, regions))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    regions = draw(st.integers(2, 14))
    ends = {(draw(st.integers(0, i - 1)), i) for i in range(1, regions)}
    ends |= draw(
        st.sets(st.tuples(st.integers(0, regions - 1), st.integers(0, regions - 1)), max_size=30)
    )
    ordered = sorted({pair for pair in ends if pair[0] < pair[1]})
    sums = st.lists(st.integers(0, 6), min_size=len(ordered), max_size=len(ordered))
    length = np.array(draw(sums), np.int64) + 1
    return regions, np.array(ordered, np.int32), np.array(draw(sums), np.int64), length


@settings(deadline=None, max_examples=300)
@given(graphs())
def test_merge(graph: Graph) -> None:
    assert equal(_kernels.merge(*graph), slow_twins.merge(*graph))


@many
@given(maps)
def test_sums_along_the_tree(affinity: slow_twins.Int16) -> None:
    labels, ends, parents, merged_at = tree(affinity)
    arguments = (affinity, labels, len(parents), ends, merged_at)
    sums = _kernels.sum_inner_outlines(*arguments)
    assert equal(sums, slow_twins.sum_inner_outlines(*arguments))
    assert equal(_kernels.accumulate(parents, sums), slow_twins.accumulate(parents, sums))


@many
@given(maps, st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(1, 8), st.randoms())
def test_suppress(affinity: slow_twins.Int16, threshold: float, limit: int, random: Random) -> None:
    labels, _, parents, _ = tree(affinity)
    own = np.zeros((len(parents), 1), np.int64)
    own[: labels.max() + 1, 0] = np.bincount(labels.ravel())
    areas = np.ascontiguousarray(_kernels.accumulate(parents, own)[:, 0])
    order = random.sample(range(len(parents)), random.randint(0, len(parents)))
    arguments = (np.array(order, np.int32), parents, areas, threshold, limit)
    assert equal(_kernels.suppress(*arguments), slow_twins.suppress(*arguments))


@many
@given(maps, st.randoms())
def test_encode_nodes(affinity: slow_twins.Int16, random: Random) -> None:
    labels, _, parents, _ = tree(affinity)
    nodes = random.sample(range(len(parents)), random.randint(0, len(parents)))
    chosen = np.array(nodes, np.int32)
    assert _kernels.encode_nodes(labels, parents, chosen) == slow_twins.encode_nodes(
        labels, parents, chosen
    )


def test_a_large_map_with_long_runs() -> None:
    """Beyond the tiny shapes above: several strips of columns, runs of thousands of pixels."""
    affinity = np.full((150, 37), UNIT, np.int16)
    affinity[:, 18] = affinity[70] = 5
    labels, _, parents, _ = tree(affinity)
    assert labels.max() == 3
    smooth = _kernels.smooth_triangle(affinity)
    assert equal(
        _kernels.watershed(affinity, labels + 1), slow_twins.watershed(affinity, labels + 1)
    )
    assert equal(smooth, slow_twins.smooth_triangle(affinity))
    assert equal(
        _kernels.find_arcs(affinity, labels, smooth), slow_twins.find_arcs(affinity, labels, smooth)
    )
    every = np.arange(len(parents), dtype=np.int32)
    assert _kernels.encode_nodes(labels, parents, every) == slow_twins.encode_nodes(
        labels, parents, every
    )


def test_maps_of_different_shapes_are_refused() -> None:
    affinity, labels = np.zeros((3, 4), np.int16), np.zeros((4, 3), np.int32)
    with pytest.raises(ValueError, match=r"labels must be \(3, 4\), got \(4, 3\)"):
        _kernels.find_arcs(affinity, labels, labels)
    with pytest.raises(ValueError, match=r"table must be \(16385, 1\), got \(3, 1\)"):
        _kernels.link_regions(affinity, affinity.astype(np.int32), np.ones(3), 1, labels[:0, :2])
    with pytest.raises(ValueError, match=r"markers must be \(3, 4\), got \(4, 3\)"):
        _kernels.watershed(affinity, labels)


def test_a_graph_in_two_parts_is_refused() -> None:
    one = np.ones(1, np.int64)
    with pytest.raises(ValueError, match="must be connected"):
        _kernels.merge(3, np.array([[0, 1]], np.int32), one, one)
