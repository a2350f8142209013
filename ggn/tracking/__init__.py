"""What MLflow knows of our runs: tracking looks on, and never decides a result.

A run is written to a journal on disk first (`journal`), and brought to the MLflow store by another
process (`delivery`), so that neither a slow server nor a dead one holds up or loses anything.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
