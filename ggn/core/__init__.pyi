from .instances import Instance as Instance
from .instances import Instances as Instances
