"""Draws the hierarchy: every boundary is as strong as the merge that removes it."""

import numpy as np
from numpy.typing import NDArray

from ggn.grouping.hierarchy import Hierarchy


def contour_map(hierarchy: Hierarchy) -> NDArray[np.float32]:
    """Return the ultrametric contour map, float32 (H, W) in [0, 1], 0 inside regions.

    A pixel beside another region has the altitude at which the two regions are merged. Thresholding
    the map at any value gives closed contours, those of the tree cut there (Arbeláez et al. 2011).
    """
    labels = hierarchy.labels.astype(np.int64)
    ends = hierarchy.arcs.ends.astype(np.int64)
    keys = ends[:, 0] * labels.size + ends[:, 1]  # sorted, as the ends are
    strength = hierarchy.altitudes[hierarchy.merged_at]
    contours = np.zeros(labels.shape, dtype=np.float32)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        low, high = np.minimum(labels[one], labels[other]), np.maximum(labels[one], labels[other])
        beside = low != high
        arcs = np.searchsorted(keys, low[beside] * labels.size + high[beside])
        for side in (one, other):
            contours[side][beside] = np.maximum(contours[side][beside], strength[arcs])
    return contours
