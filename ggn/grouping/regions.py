"""Candidate segments: nodes of the tree, summed up, filtered, ranked, suppressed, encoded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core import Instances
from ggn.core.masks import RLE
from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, fixed_affinity
from ggn.grouping.merge import Hierarchy, grow_hierarchy
from ggn.grouping.params import GroupingParams
from ggn.grouping.score import SCORES, Sums, interior_mean, mean, outline_mean

FEATURE_NAMES = (
    "area_fraction",  # of the image
    "outline_affinity_mean",
    "outline_strength_mean",  # oriented, globalized: what the tree was merged by
    "interior_affinity_mean",
    "contrast",  # interior mean - outline mean
    "border_contact",  # share of the outline that lies on the image frame
    "compactness",  # 4 pi area / outline^2, pixel sides: pi / 4 for a square
    "altitude",  # strength across which its two parts merged
    "persistence",  # altitude of its parent - its own
    *(f"score_{name}" for name in SCORES),
)
"""Columns of `Candidates.features`."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Segments of an image, best first, with what a learned ranking may look at."""

    instances: Instances
    features: NDArray[np.float32]
    """(N, len(FEATURE_NAMES)), finite."""
    nodes: NDArray[np.int32]
    """(N,) their nodes in the tree of `build_hierarchy`."""


def candidates(affinity: ArrayLike, params: GroupingParams | None = None) -> Candidates:
    """Return the ranked segments of an affinity map with their features; none for a blank map.

    Args:
        affinity: (H, W) floats in [0, 1]; 1 = inside an object, 0 = on a boundary.
        params: `GroupingParams()` if not given.

    Raises:
        ValueError: if the map is malformed (see `fixed_affinity`).
    """
    params = params or GroupingParams()
    fixed = fixed_affinity(affinity)
    tree = grow_hierarchy(fixed, params)
    sums = sum_nodes(fixed, tree)
    scores = SCORES[params.score](sums)
    nodes = choose(sums, scores, tree.parents, params)
    size_hw = (fixed.shape[0], fixed.shape[1])
    instances = Instances(encode(tree, nodes), scores[nodes].astype(np.float32), size_hw)
    return Candidates(instances, describe(sums[nodes], tree, nodes), nodes)


def group(affinity: ArrayLike, params: GroupingParams | None = None) -> Instances:
    """Return the ranked segments of an affinity map, best first; as `candidates`, but alone."""
    return candidates(affinity, params).instances


def sum_nodes(affinity: NDArray[np.int16], tree: Hierarchy) -> Sums:
    """Return the sums of every node of the tree, made additively: no look at any node's pixels.

    A node has the cracks of its two parts but for those between them, which count twice there.
    """
    nodes, arcs = len(tree.parents), tree.arcs
    regions = (nodes + 1) // 2
    own = np.zeros((nodes, 8), np.int64)
    own[:regions, :3] = _kernels.sum_regions(affinity, tree.labels, regions)
    own[:, 3:5] = _kernels.sum_inner_outlines(
        affinity, tree.labels, nodes, arcs.ends, tree.merged_at
    )
    for column, values in ((5, arcs.length), (6, arcs.affinity), (7, arcs.strength)):
        for at, times in ((arcs.ends[:, 0], 1), (arcs.ends[:, 1], 1), (tree.merged_at, -2)):
            own[:, column] += times * np.bincount(at, values, nodes).astype(np.int64)
    total = _kernels.accumulate(tree.parents, own).astype(np.float64)
    total[:, [1, 4, 6, 7]] /= UNIT
    return Sums(*total.T)


def choose(
    sums: Sums, scores: NDArray[np.float64], parents: NDArray[np.int32], params: GroupingParams
) -> NDArray[np.int32]:
    """Return the nodes to keep, best first; equal scores: the lower node first.

    Dropped are the root, small nodes, those that lie on the image frame with too much of their
    outline (all four sides together against the whole outline, frame included), and those that
    overlap a better one.
    """
    allowed = sums.area >= params.min_area
    allowed &= sums.frame <= params.border_fraction * (sums.frame + sums.outline)
    allowed[-1] = False
    order = np.argsort(-scores, kind="stable").astype(np.int32)
    return _kernels.suppress(
        order[allowed[order]],
        parents,
        sums.area.astype(np.int64),
        params.nms_iou,
        params.max_candidates,
    )


def encode(tree: Hierarchy, nodes: NDArray[np.int32]) -> list[RLE]:
    """Return the masks of nodes of the tree."""
    texts = _kernels.encode_nodes(tree.labels, tree.parents, nodes)
    return [RLE(size=list(tree.labels.shape), counts=text) for text in texts]


def describe(sums: Sums, tree: Hierarchy, nodes: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the features of nodes, (N, len(FEATURE_NAMES)), given their sums."""
    outline, interior = outline_mean(sums), interior_mean(sums)
    perimeter = sums.outline + sums.frame
    columns = (
        sums.area / tree.labels.size,
        outline,
        mean(sums.outline_strength, sums.outline),
        interior,
        interior - outline,
        sums.frame / perimeter,
        4 * np.pi * sums.area / perimeter**2,
        tree.altitudes[nodes],
        tree.altitudes[tree.parents[nodes]] - tree.altitudes[nodes],
        *(score(sums) for score in SCORES.values()),
    )
    return np.stack(columns, axis=1).astype(np.float32)
