"""The tree of segments: by hand, and that it is a true ultrametric."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ggn.grouping import GroupingParams, build_hierarchy
from ggn.grouping.boundaries import UNIT, Arcs
from ggn.grouping.hierarchy import merge_regions


def arcs(*rows: tuple[int, int, float, int]) -> Arcs:
    """Arcs from (first, second, mean strength, length)."""
    ends = np.array([row[:2] for row in rows], np.int32).reshape(-1, 2)
    length = np.array([row[3] for row in rows], np.int64)
    means = np.array([row[2] for row in rows], np.float64)
    strength = np.rint(means * length * UNIT).astype(np.int64)
    return Arcs(ends, length, strength, np.zeros_like(length))


def test_a_chain_merges_from_its_weakest_arc_on() -> None:
    """0 -0.5- 1 -0.25- 2 -0.75- 3 -0.125- 4."""
    chain = arcs((0, 1, 0.5, 1), (1, 2, 0.25, 1), (2, 3, 0.75, 1), (3, 4, 0.125, 1))
    parents, altitudes, merged_at = merge_regions(chain, 5)
    #                          0  1  2  3  4 |34|12|012|all
    assert parents.tolist() == [7, 6, 6, 5, 5, 8, 7, 8, 8]
    assert altitudes.tolist() == [0, 0, 0, 0, 0, 0.125, 0.25, 0.5, 0.75]
    assert merged_at.tolist() == [7, 6, 8, 5]


def test_means_are_weighted_by_length() -> None:
    """A contact of 3 cracks does not weigh as much as one of 297.

    Regions 0 and 1 merge first; their arcs to 2 (0.8 over 297, 0.2 over 3) become one of mean
    0.794 - the plain mean would be 0.5, weaker than the 0.6 between 2 and 3.
    """
    graph = arcs((0, 1, 0.1, 10), (0, 2, 0.8, 297), (1, 2, 0.2, 3), (2, 3, 0.6, 10))
    parents, altitudes, merged_at = merge_regions(graph, 4)
    assert merged_at.tolist() == [4, 6, 6, 5]
    assert parents.tolist() == [4, 4, 5, 5, 6, 6, 6]
    assert altitudes[4:] == pytest.approx([0.1, 0.6, (0.8 * 297 + 0.2 * 3) / 300], abs=1e-4)


def test_ties_go_to_the_arc_that_comes_first() -> None:
    triangle = arcs((0, 1, 0.5, 2), (0, 2, 0.5, 4), (1, 2, 0.5, 6))
    assert merge_regions(triangle, 3)[0].tolist() == [3, 3, 4, 4, 4]
    square = arcs((0, 3, 0.5, 1), (1, 2, 0.5, 1), (2, 3, 0.5, 1))
    assert merge_regions(square, 4)[0].tolist() == [4, 5, 5, 4, 6, 6, 6]


def test_one_region_is_its_own_root() -> None:
    parents, altitudes, merged_at = merge_regions(arcs(), 1)
    assert (parents.tolist(), altitudes.tolist(), merged_at.tolist()) == ([0], [0.0], [])


@st.composite
def connected_graphs(draw: st.DrawFn) -> tuple[int, Arcs]:
    regions = draw(st.integers(2, 12))
    tree = [(draw(st.integers(0, i - 1)), i) for i in range(1, regions)]
    pairs = st.tuples(st.integers(0, regions - 1), st.integers(0, regions - 1))
    more = [
        tuple(sorted(pair)) for pair in draw(st.lists(pairs, max_size=20)) if pair[0] != pair[1]
    ]
    ends = sorted(set(tree) | set(more))
    means = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0])
    return regions, arcs(*[(a, b, draw(means), draw(st.integers(1, 300))) for a, b in ends])


@settings(deadline=None, max_examples=200)
@given(connected_graphs())
def test_altitudes_never_fall_from_child_to_parent(graph: tuple[int, Arcs]) -> None:
    regions, drawn = graph
    parents, altitudes, merged_at = merge_regions(drawn, regions)
    assert (altitudes[parents] >= altitudes).all()
    assert (np.diff(altitudes) >= 0).all()  # even in the order of merging
    assert (parents[:-1] > np.arange(len(parents) - 1)).all()
    assert (np.bincount(parents[:-1])[regions:] == 2).all()
    # The ultrametric: regions joined by an arc meet where `merged_at` says, nowhere lower.
    for (first, second), node in zip(drawn.ends, merged_at, strict=True):
        up = [ancestors(parents, region) for region in (first, second)]
        assert min(set(up[0]) & set(up[1])) == node


def ancestors(parents: NDArray[np.int32], node: int) -> list[int]:
    path = [node]
    while parents[path[-1]] != path[-1]:
        path.append(parents[path[-1]])
    return path


def test_a_star_of_20_000_regions_takes_no_quadratic_time() -> None:
    spokes = 20_000
    strength = np.random.default_rng(0).random(spokes)
    star = arcs(*[(0, i + 1, s, 1 + i % 7) for i, s in enumerate(strength)])
    start = time.perf_counter()
    parents, altitudes, _ = merge_regions(star, spokes + 1)
    assert time.perf_counter() - start < 2
    assert (altitudes[parents] >= altitudes).all()


def test_the_hierarchy_of_a_map(cell_map: Callable[..., NDArray[np.float32]]) -> None:
    tree = build_hierarchy(cell_map(0), GroupingParams(seed_spacing=0.03))
    regions = tree.labels.max() + 1
    assert tree.labels.dtype == tree.parents.dtype == np.int32
    assert tree.labels.shape == (120, 160)
    assert len(tree.parents) == len(tree.altitudes) == 2 * regions - 1
    assert tree.parents[-1] == len(tree.parents) - 1
    assert 0 <= tree.altitudes.min() <= tree.altitudes.max() <= 1
    assert (tree.altitudes[tree.parents] >= tree.altitudes).all()


def test_only_a_weight_above_0_mixes_in_the_global_boundary(
    cell_map: Callable[..., NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    affinity, coarse = cell_map(0), GroupingParams(seed_spacing=0.1)
    mixed = coarse.model_copy(update={"globalization_weight": 0.5})
    local, both = build_hierarchy(affinity, coarse), build_hierarchy(affinity, mixed)
    assert np.array_equal(local.labels, both.labels)
    assert not np.array_equal(local.altitudes, both.altitudes)

    def never(*_: object) -> Arcs:
        raise AssertionError("the eigenproblem takes long, and a weight of 0 ignores it")

    monkeypatch.setattr("ggn.grouping.hierarchy.globalize", never)
    assert np.array_equal(build_hierarchy(affinity, coarse).altitudes, local.altitudes)


def test_without_params_it_is_the_recipe_of_the_reference(
    cell_map: Callable[..., NDArray[np.float32]],
) -> None:
    affinity = cell_map(1)
    plain, stated = build_hierarchy(affinity), build_hierarchy(affinity, GroupingParams())
    other = build_hierarchy(affinity, GroupingParams(seed_spacing=0.1))
    assert np.array_equal(plain.parents, stated.parents)
    assert len(other.parents) < len(plain.parents)


def test_the_least_spacing_of_seeds_in_pixels_holds_for_small_images(
    cell_map: Callable[..., NDArray[np.float32]],
) -> None:
    small = cell_map(2, size_hw=(24, 32))
    fine, coarse = (
        build_hierarchy(small, GroupingParams(min_seed_spacing=pixels)) for pixels in (2, 8)
    )
    assert len(coarse.parents) < len(fine.parents)
