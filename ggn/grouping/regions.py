"""Candidate segments: the nodes of the tree with their sums, filtered, ranked, suppressed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core import Instances
from ggn.core.masks import RLE
from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, fixed_affinity
from ggn.grouping.merge import Hierarchy, grow_hierarchy
from ggn.grouping.params import GroupingParams
from ggn.grouping.score import Sums, all_scores, interior_mean, mean, outline_mean

FEATURE_NAMES = (
    "area_fraction",
    "outline_affinity_mean",
    "interior_affinity_mean",
    "contrast",
    "frame_contact",
    "altitude",
    "persistence",
    "compactness",
    "score_outline_affinity",
    "score_interior_affinity",
    "score_interior_minus_twice_outline",
    "score_outline_minus_interior",
    "score_normalized_cut",
)
"""Columns of `Candidates.features`."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Segments best first, with what a learned ranking may look at."""

    instances: Instances
    features: NDArray[np.float32]
    """(N, len(FEATURE_NAMES))."""
    nodes: NDArray[np.int32]
    """(N,) the nodes of the tree."""


def sum_nodes(fixed: NDArray[np.int16], tree: Hierarchy) -> Sums:
    """Return the sums of every node: those of its regions, less the arcs that vanish inside it."""
    nodes, arcs = len(tree.parents), tree.arcs
    regions = (nodes + 1) // 2
    own = np.zeros((nodes, 7), np.int64)
    own[:regions, :3] = _kernels.sum_regions(fixed, tree.labels, regions)
    own[:, 3:5] = _kernels.sum_inner_outlines(fixed, tree.labels, nodes, arcs.ends, tree.merged_at)
    for column, values in ((5, arcs.length), (6, arcs.affinity)):
        for nodes_of, share in ((arcs.ends[:, 0], 1), (arcs.ends[:, 1], 1), (tree.merged_at, -2)):
            own[:, column] += share * np.bincount(nodes_of, values, nodes).astype(np.int64)
    area, affinity, frame, rim, rim_affinity, outline, outline_affinity = _kernels.accumulate(
        tree.parents, own
    ).T.astype(np.float64)
    return Sums(
        area=area,
        affinity=affinity / UNIT,
        outline=outline,
        outline_affinity=outline_affinity / UNIT,
        rim=rim,
        rim_affinity=rim_affinity / UNIT,
        frame=frame,
    )


def describe(sums: Sums, tree: Hierarchy) -> NDArray[np.float32]:
    """Return the features of every node, (nodes, len(FEATURE_NAMES))."""
    scores = all_scores(sums)
    outline, interior = outline_mean(sums), interior_mean(sums)
    perimeter = sums.frame + sums.outline
    columns = [
        sums.area / tree.labels.size,
        outline,
        interior,
        interior - outline,
        mean(sums.frame, perimeter),
        tree.altitudes,
        tree.altitudes[tree.parents] - tree.altitudes,
        4 * np.pi * sums.area / perimeter**2,
        *(scores[name] for name in scores),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def choose(
    sums: Sums, scores: NDArray[np.float64], tree: Hierarchy, params: GroupingParams
) -> NDArray[np.int32]:
    """Return the nodes that stay, best first: not on the frame, large enough, not overlapping.

    Contact with the image frame, all sides together, is compared with the whole outline, frame
    included. Equal scores: the smaller node first.
    """
    on_frame = sums.frame > params.border_fraction * (sums.frame + sums.outline)
    order = np.argsort(-scores, kind="stable")
    order = order[(~on_frame & (sums.area >= params.min_area))[order]].astype(np.int32)
    return _kernels.suppress(
        order, tree.parents, sums.area.astype(np.int64), params.nms_iou, params.max_candidates
    )


def encode_nodes(tree: Hierarchy, nodes: NDArray[np.int32]) -> list[RLE]:
    """Return the masks of nodes of the tree."""
    texts = _kernels.encode_nodes(tree.labels, tree.parents, nodes)
    return [RLE(size=list(tree.labels.shape), counts=text) for text in texts]


def candidates(affinity: ArrayLike, params: GroupingParams | None = None) -> Candidates:
    """Return the segments of an affinity map with features, best first.

    Args:
        affinity: (H, W) floats in [0, 1]; 1 = inside an object, 0 = on a boundary.
        params: the reference's recipe if not given.

    Raises:
        ValueError: if the map is malformed (see `fixed_affinity`).
    """
    params = params or GroupingParams()
    fixed = fixed_affinity(affinity)
    tree = grow_hierarchy(fixed, params)
    sums = sum_nodes(fixed, tree)
    scores = all_scores(sums)[params.score]
    nodes = choose(sums, scores, tree, params)
    size_hw = (fixed.shape[0], fixed.shape[1])
    instances = Instances(encode_nodes(tree, nodes), scores[nodes].astype(np.float32), size_hw)
    return Candidates(instances, describe(sums, tree)[nodes], nodes)


def group(affinity: ArrayLike, params: GroupingParams | None = None) -> Instances:
    """Return the candidate segments of an affinity map, best first; none for a blank map.

    Arguments and errors as for `candidates`.
    """
    return candidates(affinity, params).instances
