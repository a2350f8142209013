"""Compatibility with OpenMMLab: mmdetection 2.x checkpoints and configs, the reference's models.

Nothing here needs mmcv-full; only the tests compare ours with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
