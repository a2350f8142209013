from .journal import Journal as Journal
from .runs import open_run as open_run
from .store import TrackingError as TrackingError
