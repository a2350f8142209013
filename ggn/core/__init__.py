"""What a mask, a set of instances and a COCO record is; numpy and pycocotools only."""

from ggn.core.instances import Instances

__all__ = ["Instances"]
