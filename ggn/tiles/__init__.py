"""Images too large to be looked at whole: overlapping tiles, at full and at reduced sizes."""

from ggn.tiles.affinity import affinity_in_tiles
from ggn.tiles.find import count_tiles, find_in_tiles
from ggn.tiles.plan import Tile, cores, plan_tiles, pyramid
from ggn.tiles.reduced import reduced

__all__ = [
    "Tile",
    "affinity_in_tiles",
    "cores",
    "count_tiles",
    "find_in_tiles",
    "plan_tiles",
    "pyramid",
    "reduced",
]
