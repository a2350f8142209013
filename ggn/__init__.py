"""Open-world instance segmentation: pseudo ground truth from a learned pairwise affinity.

Names are imported when they are first used: `import ggn` itself loads neither torch nor NumPy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
