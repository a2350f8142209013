"""Instances as files that annotation tools and other trainers load: one module per format."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
