"""Affinity map to ranked segments: watershed, tree of regions, scores, suppression."""

from ggn.grouping.kernel_build import stale_kernel
from ggn.grouping.merge import Hierarchy, build_hierarchy
from ggn.grouping.params import GroupingParams
from ggn.grouping.regions import FEATURE_NAMES, Candidates, candidates, group

__all__ = [
    "FEATURE_NAMES",
    "Candidates",
    "GroupingParams",
    "Hierarchy",
    "build_hierarchy",
    "candidates",
    "group",
    "stale_kernel",
]
