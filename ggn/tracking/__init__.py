"""What MLflow knows of our runs: tracking looks on, and never decides a result.

A run is written to a journal on disk first (`journal`), and brought to the MLflow store by another
process (`delivery`), so that neither a slow server nor a dead one holds up or loses anything.
"""

from ggn.tracking.journal import Journal
from ggn.tracking.runs import open_run
from ggn.tracking.store import TrackingError

__all__ = ["Journal", "TrackingError", "open_run"]
