from .merge import Hierarchy as Hierarchy
from .merge import build_hierarchy as build_hierarchy
from .params import GroupingParams as GroupingParams
from .regions import FEATURE_NAMES as FEATURE_NAMES
from .regions import Candidates as Candidates
from .regions import candidates as candidates
from .regions import group as group
