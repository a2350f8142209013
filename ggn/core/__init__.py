"""What a mask, a set of instances and a COCO record are; numpy and pycocotools only."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
