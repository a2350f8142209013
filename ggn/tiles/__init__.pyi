from .affinity import affinity_in_tiles as affinity_in_tiles
from .find import count_tiles as count_tiles
from .find import find_in_tiles as find_in_tiles
from .plan import Tile as Tile
from .plan import cores as cores
from .plan import plan_tiles as plan_tiles
from .plan import pyramid as pyramid
from .reduction import reduced as reduced
