from .core.instances import Instance as Instance
from .core.instances import Instances as Instances
from .data.images import read_image as read_image
from .evaluation.evaluator import evaluate as evaluate
from .grouping.params import GroupingParams as GroupingParams
from .grouping.regions import group as group
from .models import load_affinity as load_affinity
from .models import load_detector as load_detector
