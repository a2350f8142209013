"""Runs and models in MLflow. Tracking only observes; it never affects results.

A run is first written to a journal on disk (`journal`). Another process delivers it to the MLflow
store (`delivery`), so a slow or dead server neither delays nor loses anything.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
