"""The bridge to OpenMMLab: checkpoints in mmdetection 2.x names, the reference's models, configs.

Nothing here needs mmcv-full; it is what the tests compare ours with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
