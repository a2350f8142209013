"""`python -m ggn.tracking FOLDER`: delivers the journal of a run, and later ones, as they grow."""

import signal
import sys
from pathlib import Path

from ggn.tracking.backend import TrackingError, tracking_uri
from ggn.tracking.delivery import follow

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run; its end must be delivered
    try:
        follow(Path(sys.argv[1]), tracking_uri())
    except TrackingError as error:
        raise SystemExit(str(error)) from None
