"""Unions of adjacent nodes: which are looked at, their sums, which of them become candidates."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage
from slow_twins import leaves

from ggn.core import masks
from ggn.grouping import FEATURE_NAMES, GroupingParams, candidates, combine
from ggn.grouping.boundaries import UNIT, find_arcs, fixed_affinity
from ggn.grouping.hierarchy import Hierarchy, grow_hierarchy
from ggn.grouping.regions import sum_nodes
from ggn.grouping.score import Sums

# Four regions in a row: 0 and 1 merge to 4, 2 and 3 to 5, both to 6.
ROW = np.array([[0, 0, 1, 1, 2, 2, 3, 3]] * 3, np.int32)
PARENTS = np.array([4, 4, 5, 5, 6, 6, 6], np.int32)


@pytest.fixture
def row_of_four() -> tuple[Hierarchy, Sums]:
    affinity = np.full(ROW.shape, UNIT // 2, np.int16)
    altitudes = np.array([0, 0, 0, 0, 0.1, 0.2, 0.3])
    merged_at = np.array([4, 6, 5], np.int32)  # of the arcs (0, 1), (1, 2), (2, 3)
    tree = Hierarchy(ROW, PARENTS, altitudes, find_arcs(affinity, ROW), merged_at)
    return tree, sum_nodes(affinity, tree)


def test_unions_of_four_regions_in_a_row(row_of_four: tuple[Hierarchy, Sums]) -> None:
    """{4, 2} is there when 4 is born and until 5 is; {1, 2} and {1, 2, 3} go with 1 when 4 is born.

    {0, 1}, {2, 3} and {4, 5} are nodes; {0, 1, 2} is {4, 2} already; {0, 2} don't touch.
    """
    _, unions = combine.combine(*row_of_four)
    assert unions.parts.tolist() == [[2, 4, -1, -1], [1, 2, -1, -1], [1, 2, 3, -1]]
    assert unions.sums.area.tolist() == [18, 12, 18]
    assert unions.sums.outline.tolist() == [3, 6, 3]
    assert unions.sums.frame.tolist() == [15, 8, 15]
    assert unions.sums.affinity.tolist() == [9, 6, 9]
    assert unions.sums.outline_affinity.tolist() == [3, 6, 3]
    assert unions.sums.rim.tolist() == [3 + 3 + 3, 6 + 6, 6 + 6 + 3]  # each part's own


def suppressed(
    row_of_four: tuple[Hierarchy, Sums], nodes: list[int], iou: float, limit: int = 9
) -> list[int]:
    tree, sums = row_of_four
    crown, unions = combine.combine(tree, sums)
    order, taken = np.arange(3, dtype=np.int32), np.array(nodes, np.int32)
    kept = combine.suppress_unions(crown, unions, order, taken, sums.area, limit, iou)
    return [int(union) for union in kept]


def test_a_union_is_dropped_if_it_overlaps_a_node_or_a_union_before_it(
    row_of_four: tuple[Hierarchy, Sums],
) -> None:
    # In pairs of columns: {4, 2} = 0..5, {1, 2} = 2..5, {1, 2, 3} = 2..7.
    assert suppressed(row_of_four, [], 0.66) == [0, 2]  # IoU of 0 and 1: 2 / 3; of 0 and 2: 1 / 2
    assert suppressed(row_of_four, [], 0.67) == [0, 1, 2]
    assert suppressed(row_of_four, [], 0.67, limit=2) == [0, 1]
    assert suppressed(row_of_four, [5], 0.65) == [0]  # 5 is 2 / 3 of {1, 2, 3}
    assert suppressed(row_of_four, [4], 0.65) == [1]  # 4 is 2 / 3 of {4, 2}, 1 / 3 of {1, 2}
    assert suppressed(row_of_four, [6], 0.7) == [1]  # the whole is 4 / 3 of {4, 2}


maps = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([0, 0.125, 0.5, 0.75, 1]),
)
FINEST = GroupingParams(min_seed_spacing=2, border_fraction=1.0)


def unions_by_definition(tree: Hierarchy) -> set[frozenset[int]]:
    """Return the sets of regions that two to four touching regions of a partition make up."""
    under = leaves(tree.parents)
    ends = {frozenset(pair) for pair in tree.arcs.ends.tolist()}

    def connected(group: tuple[int, ...]) -> bool:
        reached, left = {group[0]}, set(group[1:])
        while near := {
            b
            for b in left
            for a in reached
            if any(frozenset(p) in ends for p in itertools.product(under[a], under[b]))
        }:
            reached |= near
            left -= near
        return not left

    regions = (len(tree.parents) + 1) // 2
    partition = set(range(regions))
    found: set[frozenset[int]] = set()
    for node in range(regions, len(tree.parents)):
        for size in (2, 3, 4):
            for group in itertools.combinations(sorted(partition), size):
                if connected(group):
                    found.add(frozenset().union(*(under[part] for part in group)))
        partition = {part for part in partition if tree.parents[part] != node} | {node}
    return found - {frozenset(regions) for regions in under}


@settings(deadline=None, max_examples=25)
@given(maps)
def test_no_union_of_a_partition_is_missed(affinity: NDArray[Any]) -> None:
    tree = grow_hierarchy(fixed_affinity(affinity), FINEST)
    if len(tree.parents) > 27:
        return
    _, unions = combine.combine(tree, sum_nodes(fixed_affinity(affinity), tree))
    under = leaves(tree.parents)
    found = [
        frozenset().union(*(under[part] for part in parts if part >= 0)) for parts in unions.parts
    ]
    assert len(set(found)) == len(found)
    assert set(found) - set(map(frozenset, under)) == unions_by_definition(tree)


@settings(deadline=None, max_examples=40)
@given(maps)
def test_sums_equal_those_of_the_unions_pixels(affinity: NDArray[Any]) -> None:
    fixed = fixed_affinity(affinity)
    tree = grow_hierarchy(fixed, FINEST)
    _, unions = combine.combine(tree, sum_nodes(fixed, tree))
    under = leaves(tree.parents)
    for at, parts in enumerate(unions.parts):
        regions = set().union(*(under[part] for part in parts if part >= 0))
        mask = np.isin(tree.labels, list(regions))
        assert unions.sums.area[at] == mask.sum()
        assert unions.sums.affinity[at] == pytest.approx(affinity[mask].sum())
        inside = [regions >= {a, b} for a, b in tree.arcs.ends.tolist()]
        one_side = [len(regions & {a, b}) == 1 for a, b in tree.arcs.ends.tolist()]
        assert not any(a and b for a, b in zip(inside, one_side, strict=True))
        for found, values in (
            (unions.sums.outline, tree.arcs.length),
            (unions.sums.outline_affinity * UNIT, tree.arcs.affinity),
            (unions.sums.outline_strength * UNIT, tree.arcs.strength),
        ):
            assert found[at] == pytest.approx(values[one_side].sum(), abs=1e-6)


def two_coloured_disc() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Its halves are further apart than each is from the background around it."""
    y, x = np.indices((120, 120)) - 60
    disc = y**2 + x**2 < 30**2
    affinity = np.ones((120, 120), np.float32)
    affinity[ndimage.morphological_gradient(disc.astype(int), size=3) > 0] = 0.5
    affinity[disc & (np.abs(x) < 2)] = 0.2
    affinity -= 0.2 * (x > 0) * disc  # so that not all is level
    return affinity, disc


def test_an_object_of_two_parts_is_found_as_their_union() -> None:
    affinity, disc = two_coloured_disc()
    best = []
    for share in (0.0, 0.2):
        found = candidates(affinity, GroupingParams(union_share=share))
        overlap = masks.mask_iou(found.instances.masks, masks.encode(disc[None]))[:, 0]
        best.append(overlap.max())
        parts = found.features[:, FEATURE_NAMES.index("parts")]
        assert (parts > 1).any() == (share > 0)
    assert best[0] < 0.8
    assert best[1] > 0.85
    assert parts[overlap.argmax()] > 1


def test_unions_come_last_touch_and_are_few(cell_map: Callable[..., NDArray[np.float32]]) -> None:
    params = GroupingParams(max_candidates=50, union_share=0.1)
    found = candidates(cell_map(3, cells=60, size_hw=(240, 320)), params)
    sizes = (found.parts >= 0).sum(axis=1)
    assert len(sizes) == 50
    assert sizes[:45].max() == 1
    assert sizes[45:].min() > 1
    np.testing.assert_array_equal(found.features[:, FEATURE_NAMES.index("parts")], sizes)
    for mask in masks.decode(found.instances.masks[45:], (240, 320)):
        assert ndimage.label(mask)[1] == 1
    assert (np.diff(found.instances.scores) <= 0).all()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 7), (2, 2)])
def test_maps_too_small_for_any_union(size_hw: tuple[int, int]) -> None:
    random = np.random.default_rng(0).random(size_hw).astype(np.float32)
    assert (candidates(random, FINEST).parts[:, 1:] == -1).all()
