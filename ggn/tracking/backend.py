"""The MLflow store: its address, its timeouts, and messages for its failures."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ggn.tracking.moved import mend_places

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL_FILE = Path("mlruns/mlflow.db")
LOCAL_URI = f"sqlite:///{LOCAL_FILE}"
PENDING = Path("mlruns/pending")
"""The journals of runs that are not in the store yet, in the checkout."""

EXPERIMENTS = ".dvc/tmp/exps"
"""Where DVC creates the folders of `dvc exp run --temp` and `--queue`, and deletes them later."""

ZOO = "model zoo"
"""The experiment with one run per row and recipe, and with the published numbers."""

VIEW = "recall"
"""Key of the zoo's shared view in MLflow's UI: the columns that compare runs, grouped by row."""

_COLUMNS = (
    *(
        f"metrics.`{part}/{name}`"
        for part in ("unseen", "all")
        for name in ("mask_AR_100", "box_AR_100")
    ),
    *(f"tags.`{name}`" for name in ("protocol", "measured_on", "source", "paper")),
)
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # which pages it has
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a failed delivery is repeated as a whole
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


class TrackingError(OSError):
    """A request to the MLflow store failed; the message says where and why."""


class UnreachableError(TrackingError):
    """The store did not answer, so further requests would be in vain."""


def home() -> Path:
    """Return the folder with `mlruns`: this one, or, in a DVC experiment, its checkout."""
    here = Path.cwd()
    found = [f for f in here.parents if (f / EXPERIMENTS) in (here, *here.parents)]
    return found[-1] if found else Path()


def pending() -> Path:
    """Return the folder of the journals."""
    return home() / PENDING


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the local database of this checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or LOCAL_URI


def destination(uri: str) -> str:
    """Return a store's address without user name and password, safe to print and to store."""
    parts = urlsplit(uri)
    if not parts.hostname:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def connect(uri: str) -> MlflowClient:
    """Return a client whose requests all end within seconds, answered or not.

    Raises TrackingError if MLflow is missing, or the store is a database that cannot be opened.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError:
        raise TrackingError("MLflow is not installed: it comes with ggn[mlops]") from None
    if uri == LOCAL_URI:
        Path("mlruns").mkdir(exist_ok=True)
        mend_places(Path("mlruns").resolve())
        if not LOCAL_FILE.exists():  # SQLite would make it 0644, whatever the umask lets a group do
            LOCAL_FILE.touch()
    try:
        return MlflowClient(uri)
    except expected_errors() as error:
        raise failure(uri, error) from error


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, which is created if necessary."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        local = client.tracking_uri == LOCAL_URI
        location = Path("mlruns/artifacts").resolve().as_uri() if local else None
        try:
            return str(client.create_experiment(name, location, _EXPERIMENT_TAGS))
        except MlflowException:  # another process may have created it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def zoo_page(client: MlflowClient) -> str:
    """Return the address of the zoo's table, with the columns that matter.

    Runs are grouped by row, so that only numbers on the same data stand together. The page is on
    the tracking server; for a database it is where `make ui` shows it.
    """
    identity = experiment_id(client, ZOO)
    state = {
        "searchFilter": "",
        "orderByKey": "metrics.`unseen/mask_AR_100`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(_COLUMNS),
        "groupBy": {
            "aggregateFunction": "max",
            "groupByKeys": [{"mode": "tag", "groupByData": "split"}],
        },
        "useGroupedValuesInCharts": False,
    }
    client.set_experiment_tag(identity, f"mlflow.sharedViewState.{VIEW}", json.dumps(state))
    uri = client.tracking_uri
    server = destination(uri) if uri.startswith("http") else "http://127.0.0.1:5000"
    return f"{server}/#/experiments/{identity}/runs?viewStateShareKey={VIEW}"


def failure(uri: str, error: Exception) -> TrackingError:
    """Turn what MLflow and its libraries raise into one sentence that says what to do."""
    text = str(error)
    where = destination(uri)
    if re.search(r"\b(401|403)\b|UNAUTHENTICATED|PERMISSION_DENIED", text):
        return TrackingError(
            f"{where}: user name or password refused; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    if isinstance(error, ModuleNotFoundError):
        return TrackingError(
            f"{where}: this environment has no driver for it ({text}); give the http(s) address of "
            "a tracking server instead"
        )
    if "ProxyError" in text or "Unable to connect to proxy" in text:
        host = urlsplit(uri).hostname
        return UnreachableError(
            f"{where}: cannot be reached through the proxy in http_proxy or https_proxy; "
            f"set no_proxy={host} if it needs no proxy"
        )
    if "timed out" in text.lower():
        seconds = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        return UnreachableError(f"{where}: no answer within {seconds} seconds")
    for sign, meaning in _UNREACHABLE.items():
        if sign in text:
            return UnreachableError(f"{where}: {meaning}")
    if "database is locked" in text:
        return TrackingError(f"{where}: another process is writing to it")
    for sign in ("disk is full", "disk I/O error", "No space left", "readonly database"):
        if sign in text:
            return TrackingError(f"{where}: cannot be written to ({sign})")
    first = next(iter(text.strip().splitlines()), type(error).__name__)
    return TrackingError(f"{where}: {_without_credentials(first)[:300]}")


_UNREACHABLE = {
    "Connection refused": "no server answers there",
    "NameResolutionError": "no machine of this name",
    "Name or service not known": "no machine of this name",
    "Connection aborted": "the connection broke",
    "Connection reset": "the connection broke",
    "Failed to establish": "no server answers there",
    "Max retries exceeded": "no server answers there",
}


def _without_credentials(text: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://", text)


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a request to a store whose causes lie outside this program."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    errors: tuple[Any, ...] = (
        MlflowException,
        requests.RequestException,
        sqlalchemy.exc.SQLAlchemyError,
        OSError,
        ModuleNotFoundError,
    )
    return errors
