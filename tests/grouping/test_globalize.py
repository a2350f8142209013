"""The global boundary: where it is strong, where there is none, and that it is well defined."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg

from ggn.grouping import GroupingParams, build_hierarchy
from ggn.grouping.boundaries import UNIT, find_arcs, fixed_affinity
from ggn.grouping.globalize import (
    centroids,
    global_strength,
    globalize,
    link_regions,
    slowest_modes,
)


def tiles(size: int, side: int) -> NDArray[np.int32]:
    """A partition of size x size pixels into squares of side x side, numbered by rows."""
    index = np.arange(size) // side
    return (index[:, None] * (size // side) + index).astype(np.int32)


def strengths(
    affinity: NDArray[Any], labels: NDArray[np.int32], weight: float = 1.0
) -> dict[tuple[int, int], float]:
    """Mean strength of each arc, by its pair of regions."""
    fixed = fixed_affinity(affinity)
    arcs = globalize(find_arcs(fixed, labels), fixed, labels, weight)
    means = arcs.strength / arcs.length / UNIT
    pairs = zip(arcs.ends.tolist(), means.tolist(), strict=True)
    return {(first, second): mean for (first, second), mean in pairs}


def test_links_and_masses_of_two_pixels() -> None:
    """Affinities 1 and 0.76: boundary 0.24, so the link is exp(-2)."""
    fixed, labels = fixed_affinity(np.array([[1, 0.76]])), np.array([[0, 1]], np.int32)
    links, mass = link_regions(find_arcs(fixed, labels), fixed, labels)
    assert links == pytest.approx([np.exp(-2)], rel=1e-3)
    assert mass == pytest.approx([1 + np.exp(-2)] * 2, rel=1e-3)


def test_links_inside_a_region_count_for_its_mass_twice() -> None:
    fixed, labels = fixed_affinity(np.ones((2, 4))), np.array([[0, 0, 1, 1]] * 2, np.int32)
    links, mass = link_regions(find_arcs(fixed, labels), fixed, labels)
    assert links.tolist() == [2]
    assert mass.tolist() == [4 + 2 * 4 + 2] * 2


@pytest.mark.parametrize("regions", [40, 100])  # by the dense and by the sparse solver
def test_modes_solve_the_eigenproblem(regions: int) -> None:
    random = np.random.default_rng(0)
    ends = np.array([(i, j) for i in range(regions) for j in range(i + 1, min(i + 4, regions))])
    links, mass = random.random(len(ends)), 1 + random.random(regions)
    values, vectors = slowest_modes(ends.astype(np.int32), links, mass)
    graph = np.zeros((regions, regions))
    graph[ends[:, 0], ends[:, 1]] = graph[ends[:, 1], ends[:, 0]] = links
    expected = linalg.eigh(np.diag(graph.sum(axis=0)) - graph, np.diag(mass), eigvals_only=True)
    np.testing.assert_allclose(values, expected[1:16], rtol=1e-7)
    np.testing.assert_allclose(vectors.T * mass @ vectors, np.eye(15), atol=1e-8)


def test_the_restricted_problem_bounds_that_of_the_pixels_from_above(
    cell_map: Callable[..., NDArray[np.float32]],
) -> None:
    """Min-max principle; with one region per pixel, they are the same problem."""
    affinity = fixed_affinity(cell_map(1, cells=3, size_hw=(12, 16)))
    pixels = np.arange(affinity.size, dtype=np.int32).reshape(affinity.shape)
    halves = tiles(16, 2)[:12]
    found = []
    for labels in (pixels, np.ascontiguousarray(halves)):
        arcs = find_arcs(affinity, labels)
        found.append(slowest_modes(arcs.ends, *link_regions(arcs, affinity, labels))[0])
    assert (found[1] >= found[0]).all()
    assert found[1][0] < 4 * found[0][0]


def test_a_blank_image_has_no_global_boundary() -> None:
    """Not even a faint one that a division by its own maximum would make full."""
    found = strengths(np.ones((60, 60), np.float32), tiles(60, 6))
    assert max(found.values()) < 0.02


@pytest.mark.parametrize("value", [0.1, 0.5, 0.8])
def test_a_uniform_boundary_keeps_about_its_strength(value: float) -> None:
    """So local and global strength are on one scale and can be mixed."""
    found = strengths(np.full((60, 60), value, np.float32), tiles(60, 6))
    assert np.mean(list(found.values())) == pytest.approx(1 - value, abs=0.15)


def test_the_scale_is_fixed() -> None:
    """A second, strong boundary elsewhere does not make a weak one weaker."""
    affinity = np.ones((60, 60), np.float32)
    affinity[:, 18:21] = 0.5
    alone = strengths(affinity, tiles(60, 6))[2, 3]
    affinity[:, 42:45] = 0.0
    assert strengths(affinity, tiles(60, 6))[2, 3] > 0.8 * alone > 0.1


def test_a_gap_in_a_boundary_is_bridged() -> None:
    """Locally the gap is nearly no boundary (0.1); globally it parts two halves."""
    affinity = np.ones((60, 60), np.float32)
    affinity[:, 29:31] = 0.1
    affinity[24:36, 29:31] = 0.9
    found = strengths(affinity, tiles(60, 6))
    gap, elsewhere, boundary = found[54, 55], found[51, 52], found[4, 5]
    assert boundary > gap > 0.2
    assert elsewhere < 0.02


def test_the_weight_mixes_local_and_global() -> None:
    affinity = np.ones((60, 60), np.float32)
    affinity[:, 18:21] = 0.5
    fixed, labels = fixed_affinity(affinity), tiles(60, 6)
    local = find_arcs(fixed, labels)
    full, half = (globalize(local, fixed, labels, weight) for weight in (1.0, 0.5))
    np.testing.assert_allclose(half.strength, (local.strength + full.strength) / 2, atol=1)
    assert replace(half, strength=local.strength).length is local.length


def test_the_distance_depends_neither_on_signs_nor_on_the_basis_of_equal_eigenvalues() -> None:
    random = np.random.default_rng(0)
    values, vectors = np.array([0.01, 0.02, 0.02]), random.random((9, 3))
    ends = np.array([(i, i + 1) for i in range(8)], np.int32)
    centres = random.random((9, 2)) * 50
    expected = global_strength(values, vectors, ends, centres, 2500)
    turn = np.array([[-1, 0, 0], [0, 0.6, 0.8], [0, -0.8, 0.6]])
    np.testing.assert_allclose(
        global_strength(values, vectors @ turn, ends, centres, 2500), expected
    )
    assert expected.max() > 0


def test_centroids_are_those_of_the_pixels() -> None:
    labels = np.array([[0, 0, 1], [0, 2, 2]], np.int32)
    expected = np.array([[1 / 3, 1 / 3], [0, 2], [1, 1.5]])
    np.testing.assert_allclose(centroids(labels), expected)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 30), (30, 1), (2, 2)])
def test_few_regions_are_no_obstacle(size_hw: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    affinity = random.random(size_hw).astype(np.float32)
    tree = build_hierarchy(affinity, GroupingParams(globalization_weight=0.5, min_seed_spacing=2))
    assert (tree.altitudes[tree.parents] >= tree.altitudes).all()


def test_the_hierarchy_stays_an_ultrametric(cell_map: Callable[..., NDArray[np.float32]]) -> None:
    tree = build_hierarchy(cell_map(0), GroupingParams(globalization_weight=0.5))
    assert (tree.altitudes[tree.parents] >= tree.altitudes).all()
    assert tree.altitudes.max() <= 1
