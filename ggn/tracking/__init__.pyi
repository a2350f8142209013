from .backend import TrackingError as TrackingError
from .journal import Journal as Journal
from .runs import open_run as open_run
