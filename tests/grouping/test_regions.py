"""Sums along the tree, the filter at the frame, suppression, masks, features."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import ArrayLike, NDArray
from slow_twins import leaves

from ggn.core import masks
from ggn.grouping import FEATURE_NAMES, GroupingParams, build_hierarchy, candidates
from ggn.grouping.boundaries import UNIT, find_arcs, fixed_affinity
from ggn.grouping.hierarchy import Hierarchy, grow_hierarchy
from ggn.grouping.regions import choose, describe, encode_segments, sum_nodes
from ggn.grouping.score import Sums

LABELS = np.array([[0, 0, 0, 1, 1]] * 3 + [[2] * 5] * 2, np.int32)
PARENTS = np.array([3, 3, 4, 4, 4], np.int32)  # 0 and 1 merge to 3, then 2 joins
ALTITUDES = np.array([0, 0, 0, 0.25, 0.5])


def three_regions(affinity: NDArray[np.int16]) -> Hierarchy:
    merged_at = np.array([3, 4, 4], np.int32)  # of the arcs (0, 1), (0, 2), (1, 2)
    return Hierarchy(LABELS, PARENTS, ALTITUDES, find_arcs(affinity, LABELS), merged_at)


def test_sums_of_three_regions_counted_by_hand() -> None:
    affinity = np.full((5, 5), UNIT // 2, np.int16)
    affinity[3] = UNIT // 4
    sums = sum_nodes(affinity, three_regions(affinity))
    #                                   0, 1, 2, 3 = {0, 1}, everything
    assert sums.area.tolist() == [9, 6, 10, 15, 25]
    assert sums.affinity.tolist() == [4.5, 3, 2.5 + 1.25, 7.5, 11.25]
    assert sums.frame.tolist() == [6, 5, 9, 11, 20]
    assert sums.outline.tolist() == [6, 5, 5, 5, 0]
    assert sums.outline_affinity.tolist() == [3 * 1 + 3 * 0.75, 3 * 1 + 2 * 0.75, 3.75, 3.75, 0]
    assert sums.rim.tolist() == [5, 4, 5, 5, 0]
    assert sums.rim_affinity.tolist() == [2.5, 2, 1.25, 2.5, 0]


def single(nodes: ArrayLike) -> NDArray[np.int32]:
    """Return the parts of segments that are one node each."""
    return np.pad(np.array(nodes, np.int32)[:, None], ((0, 0), (0, 3)), constant_values=-1)


maps = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10),
    elements=st.sampled_from([0, 0.125, 0.5, 0.75, 1]),
)
FINEST = GroupingParams(min_seed_spacing=2, nms_iou=1.0, border_fraction=1.0)


@settings(deadline=None, max_examples=60)
@given(maps)
def test_sums_equal_those_of_each_nodes_pixels(affinity: NDArray[Any]) -> None:
    """The oracle looks at full-image masks, node by node; the tree never does."""
    fixed = fixed_affinity(affinity)
    tree = grow_hierarchy(fixed, FINEST)
    sums = sum_nodes(fixed, tree)
    for node, regions in enumerate(leaves(tree.parents)):
        mask = np.isin(tree.labels, list(regions))
        padded = np.pad(mask, 1)
        inside = np.pad(np.ones_like(mask), 1)
        expected = dict.fromkeys(("frame", "outline", "outline_affinity"), 0.0)
        rim = np.zeros_like(mask)
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            view = np.s_[1 + dy : 1 + dy + mask.shape[0], 1 + dx : 1 + dx + mask.shape[1]]
            crack = mask & ~padded[view] & inside[view]
            rim |= crack
            expected["frame"] += (mask & ~inside[view]).sum()
            expected["outline"] += crack.sum()
            far = np.pad(affinity, 1)[view]
            expected["outline_affinity"] += affinity[crack].sum() + far[crack].sum()
        expected |= {"area": mask.sum(), "affinity": affinity[mask].sum()}
        expected |= {"rim": rim.sum(), "rim_affinity": affinity[rim].sum()}
        found = {name: getattr(sums, name)[node] for name in expected}
        assert found == {name: pytest.approx(value) for name, value in expected.items()}


@settings(deadline=None, max_examples=60)
@given(maps)
def test_masks_equal_pycocotools_encoding(affinity: NDArray[Any]) -> None:
    tree = build_hierarchy(affinity, FINEST)
    bitmaps = [np.isin(tree.labels, list(regions)) for regions in leaves(tree.parents)]
    nodes = np.arange(len(tree.parents), dtype=np.int32)
    assert encode_segments(tree, single(nodes)) == masks.encode(np.array(bitmaps))


def tree_sums(area: list[int], frame: float = 0.0, outline: float = 100.0) -> Sums:
    count = len(area)
    zero = np.zeros(count)
    return Sums(
        area=np.array(area, np.float64),
        affinity=zero,
        frame=np.broadcast_to(np.float64(frame), count),
        rim=zero,
        rim_affinity=zero,
        outline=np.array([outline] * (count - 1) + [0.0]),  # the root has none
        outline_affinity=zero,
        outline_strength=zero,
    )


#            0  1  2  3  4  5  6 = root;  4 = {0, 1}, 5 = {4, 2}, 6 = {5, 3}
NESTED = np.array([4, 4, 5, 6, 5, 6, 6], np.int32)
AREAS = [10, 2, 38, 50, 12, 50, 100]


def chosen(scores: list[int], sums: Sums | None = None, **changes: Any) -> list[int]:
    sums = sums or tree_sums(AREAS)
    params = GroupingParams.model_validate({"nms_iou": 0.2, **changes})
    kept = choose(sums, np.array(scores, np.float64), NESTED, params)
    return [int(node) for node in kept]


def test_a_segment_is_dropped_if_it_overlaps_a_better_one() -> None:
    # 0 in 4: IoU 10 / 12; 0 in 5: 10 / 50, not above 0.2; 1 in 4: 2 / 12; 2 in 5: 38 / 50.
    assert chosen([7, 1, 3, 2, 6, 5, 9]) == [0, 5, 3, 1]
    assert chosen([7, 1, 3, 2, 6, 5, 9], nms_iou=0.19) == [0, 2, 3, 1]
    assert chosen([7, 1, 3, 2, 6, 5, 9], nms_iou=0.8) == [0, 5, 2, 3, 1]
    assert chosen([7, 1, 3, 2, 6, 5, 9], nms_iou=1.0) == [0, 4, 5, 2, 3, 1]


def test_the_suppressed_do_not_suppress() -> None:
    # 4 loses to 1's sibling 0, and so can't take 5 (IoU 12 / 50) with it.
    assert 5 in chosen([7, 1, 3, 2, 6, 5, 0])


def test_equal_scores_keep_the_order_of_the_tree() -> None:
    assert chosen([1, 1, 1, 1, 1, 1, 1]) == [0, 1, 2, 3]


def test_the_root_small_segments_and_those_beyond_the_limit_are_dropped() -> None:
    assert 6 not in chosen([0, 0, 0, 0, 0, 0, 9], border_fraction=1.0, nms_iou=1.0)
    assert chosen([7, 1, 3, 2, 6, 5, 9], min_area=2) == [0, 5, 3, 1]  # 1 has two pixels
    assert chosen([7, 1, 3, 2, 6, 5, 9], min_area=3) == [0, 5, 3]
    assert chosen([7, 1, 3, 2, 6, 5, 9], max_candidates=2) == [0, 5]


def test_contact_with_the_frame_is_that_of_all_sides_against_the_whole_outline() -> None:
    on_the_edge = tree_sums(AREAS, frame=90, outline=10)
    assert chosen([1] * 7, on_the_edge) == [0, 1, 2, 3]  # 90 of 100: not above 0.9
    assert chosen([1] * 7, tree_sums(AREAS, frame=91, outline=9)) == []
    assert chosen([1] * 7, on_the_edge, border_fraction=0.85) == []


@pytest.mark.parametrize("axis", [0, 1])
def test_half_of_a_long_strip_is_kept(axis: int) -> None:
    """4 x 100: its contact with the long side exceeds the short one by far, on either axis."""
    affinity = np.ones((4, 100), np.float32)
    affinity[2] = 0.0
    if axis:
        affinity = affinity.T
    found = candidates(affinity, GroupingParams(min_seed_spacing=2))
    assert len(found.instances) == 2


def test_what_surrounds_a_small_object_is_dropped_but_not_the_object() -> None:
    """Its contact is with all four sides, none of which alone is most of its outline."""
    affinity = np.ones((40, 40), np.float32)
    affinity[18:23, 18:23] = 0.0
    affinity[19:22, 19:22] = 1.0
    found = candidates(affinity).instances
    assert len(found) == 1
    assert 9 <= found.areas[0] <= 25


def test_features_of_three_regions() -> None:
    affinity = np.full((5, 5), UNIT // 2, np.int16)
    tree = three_regions(affinity)
    nodes = np.array([3, 0])
    rows = describe(sum_nodes(affinity, tree)[nodes], tree, single(nodes))
    found = [dict(zip(FEATURE_NAMES, row, strict=True)) for row in rows]
    assert found[0]["area_fraction"] == pytest.approx(15 / 25)
    assert found[0]["border_contact"] == pytest.approx(11 / 16)
    assert found[0]["compactness"] == pytest.approx(4 * np.pi * 15 / 16**2)
    assert found[0]["altitude"] == 0.25
    assert found[0]["persistence"] == 0.25  # its parent merges at 0.5
    assert found[1]["persistence"] == 0.25
    for row in found:
        assert row["outline_affinity_mean"] == row["interior_affinity_mean"] == 0.5
        assert row["contrast"] == 0
        assert row["parts"] == 1
        assert row["score_outline_minus_interior"] == 1


def test_candidates_carry_features_and_nodes(cell_map: Callable[..., NDArray[np.float32]]) -> None:
    affinity = cell_map(5)
    found = candidates(affinity)
    count = len(found.instances)
    assert count > 10
    assert found.features.shape == (count, len(FEATURE_NAMES))
    assert found.features.dtype == np.float32
    assert np.isfinite(found.features).all()
    scores = found.features[:, FEATURE_NAMES.index("score_outline_minus_interior")]
    np.testing.assert_array_equal(np.minimum.accumulate(scores), found.instances.scores)
    np.testing.assert_allclose(
        found.features[:, FEATURE_NAMES.index("area_fraction")] * affinity.size,
        found.instances.areas,
        rtol=1e-5,
    )
    assert encode_segments(build_hierarchy(affinity), found.parts) == found.instances.masks


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_candidates_overlap_no_more_than_allowed(
    cell_map: Callable[..., NDArray[np.float32]], threshold: float
) -> None:
    params = GroupingParams(nms_iou=threshold, union_share=0.0)
    found = candidates(cell_map(6), params).instances
    overlap = masks.mask_iou(found.masks, found.masks)
    assert (overlap[~np.eye(len(found), dtype=bool)] <= threshold).all()


def test_features_of_a_union_are_those_of_its_parts_together() -> None:
    """{1, 2}: 1 is merged at 0.25 and 2 at 0.5, so it lives until 0.25; its parts at 0 and 0.25."""
    affinity = np.full((5, 5), UNIT // 2, np.int16)
    tree = three_regions(affinity)
    parts = np.array([[1, 2, -1, -1], [2, 3, -1, -1]], np.int32)
    some = sum_nodes(affinity, tree)[np.array([1, 3])]
    low, high = (dict(zip(FEATURE_NAMES, row, strict=True)) for row in describe(some, tree, parts))
    assert (low["altitude"], low["persistence"], low["parts"]) == (0, 0.25, 2)
    assert (high["altitude"], high["persistence"], high["parts"]) == (0.25, 0.25, 2)


def test_outline_features_by_hand() -> None:
    """A bright region beside a dark one: means on its outline and in it, and the contrast."""
    affinity = np.full((5, 5), UNIT, np.int16)
    affinity[:, 3:] = UNIT // 4
    tree = three_regions(affinity)
    (row,) = describe(sum_nodes(affinity, tree)[np.array([0])], tree, single([0]))
    found = dict(zip(FEATURE_NAMES, row.tolist(), strict=True))
    # Region 0, 3 x 3: three cracks to region 1, between 1 and 1/4, and three to region 2, between
    # 1 and 1. Its rim are five pixels, its interior the other four.
    outline = (3 * (1 + 0.25) + 3 * 2) / 12
    assert found["outline_affinity_mean"] == pytest.approx(outline, abs=1e-3)
    assert found["interior_affinity_mean"] == pytest.approx(1, abs=1e-3)
    assert found["contrast"] == pytest.approx(1 - outline, abs=1e-3)
    assert found["border_contact"] == 0.5  # 6 of 12 sides
    assert found["compactness"] == pytest.approx(np.pi / 4)  # a square


def test_masks_of_segments_are_the_unions_of_their_nodes() -> None:
    tree = three_regions(np.full((5, 5), UNIT // 2, np.int16))
    parts = np.array([[2, -1, -1, -1], [0, 2, -1, -1], [0, 1, 2, -1]], np.int32)
    found = masks.decode(encode_segments(tree, parts), (5, 5)).astype(bool)
    assert np.array_equal(found[0], LABELS == 2)
    assert np.array_equal(found[1], LABELS != 1)
    assert found[2].all()
    assert encode_segments(tree, parts[:0]) == []
