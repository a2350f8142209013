"""Builds the tree of segments: merges regions across the weakest arc until one is left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, Arcs, find_arcs, fixed_affinity
from ggn.grouping.globalize import globalize
from ggn.grouping.oversegment import oversegment, seed_distance
from ggn.grouping.params import GroupingParams


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A partition and the binary tree of its unions; nodes 0..n-1 are the regions.

    Merged nodes follow in the order of merging, so parents have higher numbers than children.
    """

    labels: NDArray[np.int32]
    """(H, W) region of each pixel, 0..n-1."""
    parents: NDArray[np.int32]
    """(2n - 1,) parent of each node; the root, the last one, is its own."""
    altitudes: NDArray[np.float64]
    """(2n - 1,) boundary strength in [0, 1] across which a node's children merged; 0 for regions.
    It never decreases from child to parent."""
    arcs: Arcs
    """The region adjacency graph that was merged."""
    merged_at: NDArray[np.int32]
    """(E,) the node in which the two regions of an arc are first united."""


def merge_regions(
    arcs: Arcs, regions: int
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
    """Return parents, altitudes and `merged_at` of the tree over `regions` (see Hierarchy).

    The arc with the smallest mean strength is merged first. The mean is weighted by length, so a
    contact of 3 pixels counts less than one of 300. Ties: the arc with the oldest part.
    """
    parents, altitudes, merged_at = _kernels.merge(regions, arcs.ends, arcs.strength, arcs.length)
    return parents, altitudes / UNIT, merged_at


def build_hierarchy(affinity: ArrayLike, params: GroupingParams | None = None) -> Hierarchy:
    """Return the tree of segments of an affinity map.

    Args:
        affinity: (H, W) floats in [0, 1]; 1 = inside an object, 0 = on a boundary.
        params: by default the reference's recipe.

    Raises:
        ValueError: the map is malformed (see `fixed_affinity`).
    """
    return grow_hierarchy(fixed_affinity(affinity), params or GroupingParams())


def grow_hierarchy(fixed: NDArray[np.int16], params: GroupingParams) -> Hierarchy:
    """Return the tree of a map that `fixed_affinity` has checked."""
    height, width = fixed.shape
    distance = seed_distance((height, width), params.seed_spacing, params.min_seed_spacing)
    labels, regions = oversegment(fixed, distance)
    arcs = find_arcs(fixed, labels)
    if params.globalization_weight > 0:
        arcs = globalize(arcs, fixed, labels, params.globalization_weight)
    parents, altitudes, merged_at = merge_regions(arcs, regions)
    return Hierarchy(labels, parents, altitudes, arcs, merged_at)
