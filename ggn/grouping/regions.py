"""Candidate segments: nodes of the tree and unions of them, ranked, suppressed, encoded."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core import Instances
from ggn.core.masks import RLE, union
from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, fixed_affinity
from ggn.grouping.combine import MOST_PARTS, combine, suppress_unions
from ggn.grouping.hierarchy import Hierarchy, grow_hierarchy
from ggn.grouping.params import GroupingParams
from ggn.grouping.score import SCORES, Sums, interior_mean, mean, outline_mean

FEATURE_NAMES = (
    "area_fraction",  # of the image
    "outline_affinity_mean",
    "outline_strength_mean",  # oriented, globalized: by which the tree was merged
    "interior_affinity_mean",
    "contrast",  # interior mean - outline mean
    "border_contact",  # share of the outline that lies on the image frame
    "compactness",  # 4 pi area / outline^2, pixel sides: pi / 4 for a square
    "altitude",  # strength across which its two children merged; of a union, the largest
    "persistence",  # altitude of its parent - its own; of a union, of the lowest parent
    "parts",  # nodes of the tree: 1, or 2 to 4 in a union
    *(f"score_{name}" for name in SCORES),
)
"""Columns of `Candidates.features`."""
IN_UNITS = ("affinity", "rim_affinity", "outline_affinity", "outline_strength")
"""The fields of `Sums` that the kernels add up in integers of 1 / UNIT."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Segments of an image, best first, with features for a learned ranking."""

    instances: Instances
    features: NDArray[np.float32]
    """(N, len(FEATURE_NAMES)), finite."""
    parts: NDArray[np.int32]
    """(N, 4) the nodes in the tree of `build_hierarchy` whose union each is, then -1."""


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
    return rank_nodes(fixed, grow_hierarchy(fixed, params), params)


def rank_nodes(fixed: NDArray[np.int16], tree: Hierarchy, params: GroupingParams) -> Candidates:
    """Return the ranked segments of a tree over a map that `fixed_affinity` has checked.

    Nodes come first, by score, then unions of nodes, by score (see combine.py). There are so many
    unions that a high score says less about them; the score of a union is therefore limited to that
    of the last node.
    """
    sums, score = sum_nodes(fixed, tree), SCORES[params.score]
    nodes = choose(sums, score(sums), tree.parents, params)
    parts = np.full((len(nodes), MOST_PARTS), -1, np.int32)
    parts[:, 0], chosen = nodes, sums[nodes]
    if places := int(params.union_share * params.max_candidates):
        crown, unions = combine(tree, sums)
        order = ranked(unions.sums, score(unions.sums), params)
        best = suppress_unions(crown, unions, order, nodes, sums.area, places)
        room = params.max_candidates - len(best)
        parts = np.vstack([parts[:room], unions.parts[best]])
        chosen = chosen[:room] + unions.sums[best]
    scores = np.minimum.accumulate(score(chosen)).astype(np.float32)
    instances = Instances(encode_segments(tree, parts), scores, (fixed.shape[0], fixed.shape[1]))
    return Candidates(instances, describe(chosen, tree, parts), parts)


def group(affinity: ArrayLike, params: GroupingParams | None = None) -> Instances:
    """Return the ranked segments of an affinity map, best first, without their features."""
    return candidates(affinity, params).instances


def sum_nodes(affinity: NDArray[np.int16], tree: Hierarchy) -> Sums:
    """Return the sums of every node of the tree, added up from its parts rather than its pixels.

    A node has the cracks of its two parts, minus twice those between them.
    """
    nodes, arcs = len(tree.parents), tree.arcs
    regions = (nodes + 1) // 2
    names = [field.name for field in fields(Sums)]
    own = np.zeros(nodes, [(name, np.int64) for name in names])
    of_regions, (first, second) = own[:regions], arcs.ends.T
    of_regions["area"], of_regions["affinity"], of_regions["frame"] = _kernels.sum_regions(
        affinity, tree.labels, regions
    ).T
    own["rim"], own["rim_affinity"] = _kernels.sum_inner_outlines(
        affinity, tree.labels, nodes, arcs.ends, tree.merged_at
    ).T
    for name, of_arcs in (
        ("outline", arcs.length),
        ("outline_affinity", arcs.affinity),
        ("outline_strength", arcs.strength),
    ):
        for node, times in ((first, 1), (second, 1), (tree.merged_at, -2)):
            own[name] += times * np.bincount(node, of_arcs, nodes).astype(np.int64)
    totals = _kernels.accumulate(tree.parents, own.view(np.int64).reshape(nodes, -1))
    named = dict(zip(names, totals.astype(np.float64).T, strict=True))
    for name in IN_UNITS:
        named[name] /= UNIT
    return Sums(**named)


def choose(
    sums: Sums, scores: NDArray[np.float64], parents: NDArray[np.int32], params: GroupingParams
) -> NDArray[np.int32]:
    """Return the nodes to keep, best first: those allowed that no better one overlaps."""
    areas = sums.area.astype(np.int64)
    order = ranked(sums, scores, params)
    return _kernels.suppress(order, parents, areas, params.nms_iou, params.max_candidates)


def ranked(sums: Sums, scores: NDArray[np.float64], params: GroupingParams) -> NDArray[np.int32]:
    """Return the allowed segments, best first; equal scores keep their order.

    Small segments are not allowed; nor are those with too much of their outline on the image frame
    (all four sides together, relative to the whole outline), and the whole image.
    """
    allowed = (sums.area >= params.min_area) & (sums.outline > 0)
    allowed &= sums.frame <= params.border_fraction * (sums.frame + sums.outline)
    order = np.argsort(-scores, kind="stable").astype(np.int32)
    return order[allowed[order]]


def encode_segments(tree: Hierarchy, parts: NDArray[np.int32]) -> list[RLE]:
    """Return the masks of segments, given the nodes of each (N, 4), -1 beyond the last."""
    nodes, places = np.unique(parts[parts >= 0], return_inverse=True)
    texts = _kernels.encode_nodes(tree.labels, tree.parents, nodes)
    masks = [RLE(size=list(tree.labels.shape), counts=text) for text in texts]
    counts = (parts >= 0).sum(axis=1)
    ends = counts.cumsum()
    return [
        union([masks[place] for place in places[start:end]])
        for start, end in zip(ends - counts, ends, strict=True)
    ]


def describe(sums: Sums, tree: Hierarchy, parts: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the features of segments, (N, len(FEATURE_NAMES)), given their sums and nodes."""
    there = parts >= 0
    altitude = np.where(there, tree.altitudes[parts], 0).max(axis=1)
    lasting = np.where(there, tree.altitudes[tree.parents[parts]], 1).min(axis=1)
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
        altitude,
        lasting - altitude,
        there.sum(axis=1),
        *(score(sums) for score in SCORES.values()),
    )
    return np.stack(columns, axis=1).astype(np.float32)
