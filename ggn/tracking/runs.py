"""Runs as the pipeline sees them: opened, written to, closed."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ggn.tracking.journal import Journal, journals
from ggn.tracking.store import PENDING, destination, tracking_uri

_log = logging.getLogger(__name__)
_SERVER_SECONDS = 20.0
"""How long an ended run waits for a server: twice what one unanswered request takes."""
_LOCAL_SECONDS = 300.0  # for a database, whose tables may have to be made first


def is_tracking() -> bool:
    """Tell whether MLflow is installed."""
    return importlib.util.find_spec("mlflow") is not None


@contextmanager
def open_run(
    experiment: str, name: str, *, tags: Mapping[str, str], params: Mapping[str, Any]
) -> Iterator[Journal | None]:
    """Track the body as one MLflow run; without MLflow installed, yield None.

    An exception of the body ends the run as FAILED (KILLED if it is no error, such as Ctrl-C).
    Nothing of this module's is raised: what the store does not take is kept, and a warning says so.
    """
    if not is_tracking():
        yield None
        return
    meant_for = destination(tracking_uri())
    journal = Journal.create(
        PENDING, experiment=experiment, name=name, destination=meant_for, tags=tags
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
    """Return nested mappings as one, with keys such as `detector.rpn.samples`."""
    values: dict[str, Any] = {}
    for key, value in params.items():
        nested = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


def _start_delivery(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start the process that delivers the journal; what it says goes to `delivery.log`."""
    try:
        with (folder / "delivery.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 (fixed arguments)
                [sys.executable, "-m", "ggn.tracking", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
    except OSError as error:
        _log.warning("this run is kept, not delivered: %s", error)
        return None


def _await(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Give the delivery its time, then end it; say so where runs are left."""
    log, uri = folder / "delivery.log", tracking_uri()
    seconds = _SERVER_SECONDS if uri.startswith("http") else _LOCAL_SECONDS
    try:
        process.wait(seconds)
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        reason = lines[-1] if lines else "the delivery ended early"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        reason = f"{destination(uri)}: not done within {seconds:g} seconds"
    if process.returncode != 0:
        kept = len(journals(PENDING))
        _log.warning(
            "%s; %d run(s) kept in %s: `ggn track sync` delivers them", reason, kept, PENDING
        )
