"""Pairwise affinity: which pixels belong to the same object, learned from annotated ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
