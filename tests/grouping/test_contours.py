"""The contour map: two regions by hand, closed contours on random maps."""

import numpy as np
from scipy.ndimage import label

from ggn.grouping import GroupingParams, build_hierarchy
from ggn.grouping.boundaries import UNIT, find_arcs
from ggn.grouping.contours import contour_map
from ggn.grouping.hierarchy import Hierarchy


def test_two_halves_have_one_contour_of_the_roots_altitude() -> None:
    affinity = np.ones((9, 12), dtype=np.float32)
    affinity[:, 5:7] = 0.25
    hierarchy = build_hierarchy(affinity, GroupingParams())
    contours = contour_map(hierarchy)
    on = hierarchy.labels[:, :-1] != hierarchy.labels[:, 1:]
    assert contours[:, :-1][on].min() > 0
    assert np.isclose(contours.max(), hierarchy.altitudes[-1])
    assert (contours[:, [0, 1, 2, 9, 10, 11]] == 0).all()


def test_cutting_the_map_leaves_the_regions_of_the_tree_cut_there() -> None:
    rng = np.random.default_rng(0)
    affinity = rng.random((40, 50)).astype(np.float32)
    hierarchy = build_hierarchy(affinity, GroupingParams())
    altitude = float(np.median(hierarchy.altitudes[hierarchy.altitudes > 0]))
    node = np.arange(len(hierarchy.parents))
    for child in range(len(node) - 2, -1, -1):  # parents come after children
        parent = hierarchy.parents[child]
        if hierarchy.altitudes[parent] <= altitude:
            node[child] = node[parent]
    tree_regions = node[hierarchy.labels]
    inside = contour_map(hierarchy) <= altitude
    pieces, _ = label(inside)
    for piece in range(1, pieces.max() + 1):
        assert len(np.unique(tree_regions[pieces == piece])) == 1


def test_one_region_has_no_contour() -> None:
    flat = np.ones((5, 5), dtype=np.float32)
    assert (contour_map(build_hierarchy(flat, GroupingParams())) == 0).all()


def test_contours_of_three_regions_by_hand() -> None:
    """0 and 1 merge at 0.25, then 2 joins at 0.5; where all three meet, the stronger one counts."""
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]], np.int32)
    affinity = np.full(labels.shape, UNIT // 2, np.int16)
    tree = Hierarchy(
        labels,
        np.array([3, 3, 4, 4, 4], np.int32),
        np.array([0, 0, 0, 0.25, 0.5]),
        find_arcs(affinity, labels),
        np.array([3, 4, 4], np.int32),  # of the arcs (0, 1), (0, 2), (1, 2)
    )
    contours = contour_map(tree)
    assert contours.dtype == np.float32
    assert contours.tolist() == [
        [0, 0.25, 0.25, 0],
        [0.5, 0.5, 0.5, 0.5],
        [0.5, 0.5, 0.5, 0.5],
        [0, 0, 0, 0],
    ]
