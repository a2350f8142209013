"""Opens, writes and closes runs for the pipeline."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ggn.tracking.backend import destination, home, pending, tracking_uri
from ggn.tracking.delivery import deliverer_file, sole_deliverer
from ggn.tracking.journal import Journal, journals

_log = logging.getLogger(__name__)
_SERVER_SECONDS = 20.0
"""How long an ended run waits for a server: twice the timeout of a request."""
_POLL_SECONDS = 0.05
_LOCAL_SECONDS = 300.0  # for a database, whose tables may have to be created first

_started: list[subprocess.Popen[bytes]] = []


@atexit.register
def _let_go() -> None:
    """Forget running deliveries, which may outlive this process, so that Python does not warn."""
    for process in _started:
        process.returncode = process.poll() or 0


def is_tracking() -> bool:
    """Tell whether MLflow is installed."""
    return importlib.util.find_spec("mlflow") is not None


@contextmanager
def open_run(
    experiment: str, name: str, *, tags: Mapping[str, str], params: Mapping[str, Any]
) -> Iterator[Journal | None]:
    """Track the body as one MLflow run; without MLflow installed, yield None.

    An exception of the body ends the run as FAILED (KILLED if it is not an error, such as Ctrl-C).
    Tracking itself never raises: what the store does not accept is kept, with a warning.
    """
    if not is_tracking():
        yield None
        return
    meant_for = destination(tracking_uri())
    journal = Journal.create(
        pending(), experiment=experiment, name=name, destination=meant_for, tags=tags
    )
    journal.params(flat(params))
    process = _start_delivery(journal.folder) if journal.folder.exists() else None
    try:
        yield journal
    except BaseException as error:
        journal.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    else:
        journal.end("FINISHED")
    finally:
        if process is not None:
            _await(process, journal.folder)


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as a flat one, with keys such as `detector.rpn.samples`."""
    values: dict[str, Any] = {}
    for key, value in params.items():
        nested = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


def _start_delivery(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start a process that delivers this journal and later ones, unless one is running."""
    try:
        with deliverer_file(folder.parent, tracking_uri(), "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (fixed arguments)
                [sys.executable, "-m", "ggn.tracking", str(folder.resolve())],
                cwd=home(),  # it outlives the folder of an experiment
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _started[:] = [earlier for earlier in _started if earlier.poll() is None] + [process]
        return process
    except OSError as error:
        _log.warning("kept, not delivered: %s", error)
        return None


def _await(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the delivery of an ended run; if it takes too long, warn and leave it."""
    uri = tracking_uri()
    seconds = _SERVER_SECONDS if uri.startswith("http") else _LOCAL_SECONDS
    deadline = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < deadline:
        if process.poll() is not None and not _is_delivering(uri):
            if process.returncode != 0 or (again := _start_delivery(folder)) is None:
                break
            process = again  # the previous one has just ended
        time.sleep(_POLL_SECONDS)
    if not folder.exists():
        return
    if process.poll() is None:
        process.kill()
        process.wait()
    log = deliverer_file(folder.parent, uri, "log")
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    reason = lines[-1] if lines else "the delivery ended early"
    if time.monotonic() >= deadline:
        reason = f"{destination(uri)}: not done within {seconds:g} seconds"
    place, kept = pending(), len(journals(pending()))
    _log.warning("%s; %d run(s) kept in %s: `ggn track sync` delivers them", reason, kept, place)


def _is_delivering(uri: str) -> bool:
    with sole_deliverer(pending(), uri) as free:
        return not free
