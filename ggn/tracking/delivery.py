"""Delivers journals to the MLflow store: everything, exactly once, despite interruptions.

Every step can be repeated. A run is found again by its identity; parameters and metrics (with their
time) that are sent again are the same; an artifact replaces itself. A journal is deleted when the
store has confirmed that the run has ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggn.tracking.backend import (
    TrackingError,
    UnreachableError,
    connect,
    destination,
    expected_errors,
    experiment_id,
    failure,
)
from ggn.tracking.journal import (
    Header,
    claimed,
    is_live,
    is_ours,
    journals,
    read_events,
    read_header,
)

IDENTITY_TAG = "ggn.identity"
_BATCH = {"metrics": 1000, "params": 100}  # MLflow's limits per request
_LONGEST_VALUE = 6000  # characters of a parameter, MLflow's limit
_POLL_SECONDS = 0.2
_LINGER_SECONDS = 20.0  # waits for the next stage of a `dvc repro`
_CREDENTIALS = ("USERNAME", "PASSWORD", "TOKEN")
_PUSH_SECONDS = 5.0  # between two deliveries of a live run
_LAST_TRIES = 3
_LAST_PAUSE_SECONDS = 1.0


class Delivery:
    """What one process has delivered of one journal to one store so far."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._uri, self._client = folder, uri, connect(uri)
        self._header: Header = read_header(folder)
        self._run_id: str | None = None
        self._offset = 0
        self._params: set[str] = set()
        self._last_ms = self._header.started_ms
        self._status = "KILLED"  # until the journal says otherwise

    def push(self, *, ended: bool) -> None:
        """Deliver what is new; if the run has `ended`, also its status, and delete the journal.

        Raises:
            TrackingError: the store did not accept it; nothing is lost, and it can be repeated.
        """
        try:
            run_id = self._find_or_make()
            if run_id is not None:
                self._send(run_id)
                if ended:
                    self._client.set_terminated(run_id, self._status, self._last_ms)
        except expected_errors() as error:
            raise failure(self._uri, error) from error
        if ended:
            shutil.rmtree(self._folder)

    def _find_or_make(self) -> str | None:
        """Return the run's id, or None if the store already has the whole run."""
        if self._run_id is not None:
            return self._run_id
        header = self._header
        experiment = experiment_id(self._client, header.experiment)
        query = f"tags.`{IDENTITY_TAG}` = '{header.identity}'"
        known = self._client.search_runs([experiment], query, max_results=1)
        if known and known[0].info.status == "FINISHED":
            return None
        run = known[0] if known else self._make(experiment)
        self._run_id = str(run.info.run_id)
        return self._run_id

    def _make(self, experiment: str) -> Any:
        header = self._header
        tags = {**header.tags, IDENTITY_TAG: header.identity}
        return self._client.create_run(experiment, header.started_ms, tags, header.name)

    def _send(self, run_id: str) -> None:
        from mlflow.entities import Metric, Param

        events = read_events(self._folder, self._offset)
        metrics: list[Any] = []
        params: dict[str, Any] = {}
        for event in events.lines:
            self._last_ms = max(self._last_ms, event.get("time", 0))
            self._status = event.get("end", self._status)
            for key, value in event.get("metrics", {}).items():
                metrics.append(Metric(key, value, event["time"], event["step"]))
            for key, value in event.get("params", {}).items():
                params.setdefault(key, Param(key, value[:_LONGEST_VALUE]))
        fresh = [param for key, param in params.items() if key not in self._params]
        for some in _portions(fresh, _BATCH["params"]):
            self._client.log_batch(run_id, params=some)
        for some in _portions(metrics, _BATCH["metrics"]):
            self._client.log_batch(run_id, metrics=some)
        for name in dict.fromkeys(e["artifact"] for e in events.lines if "artifact" in e):
            self._client.log_artifact(run_id, str(self._folder / "artifacts" / name))
        self._params |= params.keys()
        self._offset = events.offset


def _portions(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


@dataclass
class Followed:
    """A run whose journal is delivered while it is written."""

    folder: Path
    uri: str
    _delivery: Delivery | None = None
    _pushed: float = 0.0
    _failures: int = 0

    def push(self) -> None:
        """Deliver what is new, if the run has ended or enough time has passed.

        Raises:
            TrackingError: the run has ended, and several attempts to deliver it failed.
        """
        with claimed(self.folder) as mine:
            ended = mine and not is_live(self.folder)  # before reading, so that nothing is missed
            if not mine or not (ended or time.monotonic() - self._pushed >= _PUSH_SECONDS):
                return
            try:
                self._delivery = self._delivery or Delivery(self.folder, self.uri)
                self._delivery.push(ended=ended)
            except TrackingError as error:
                self._failures += ended
                if self._failures == _LAST_TRIES or (ended and isinstance(error, UnreachableError)):
                    raise
                time.sleep(_LAST_PAUSE_SECONDS if ended else 0)
            self._pushed = time.monotonic()


def follow(folder: Path, uri: str) -> None:
    """Deliver a run and later ones while they are written, then all that were kept.

    One process does this for all runs of a store, because MLflow takes seconds to load and stages
    follow each other within seconds. It ends when there has been no run for a while, or at once if
    another process already does the work.

    Raises:
        TrackingError: a run has ended and could not be delivered.
    """
    pending = folder.parent
    with sole_deliverer(pending, uri) as mine:
        if not mine:
            return
        kept = {path for path in journals(pending) if path != folder and not is_live(path)}
        followed: dict[Path, Followed] = {}
        busy = time.monotonic()
        while time.monotonic() - busy < _LINGER_SECONDS:
            for path in {p for p in journals(pending) if is_ours(p)} - kept:
                followed.setdefault(path, Followed(path, uri)).push()
                busy = time.monotonic()
            if kept and time.monotonic() - busy >= _POLL_SECONDS:
                _sync_kept(pending, uri)
                kept = set(journals(pending))
            time.sleep(_POLL_SECONDS)


def _sync_kept(pending: Path, uri: str) -> None:
    for outcome in sync(pending, uri, only_meant_for=destination(uri)):
        if outcome.error is not None and is_ours(outcome.folder):
            raise outcome.error


@contextmanager
def sole_deliverer(pending: Path, uri: str) -> Iterator[bool]:
    """Take the lock for following the runs of one store; yields whether it is taken."""
    path = deliverer_file(pending, uri, "lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def deliverer_file(pending: Path, uri: str, suffix: str) -> Path:
    """Return the lock or the log of the process that follows the runs of a store.

    Each user of the machine, user name and password of the store has its own process.
    """
    secrets = [os.environ.get(f"MLFLOW_TRACKING_{name}") for name in _CREDENTIALS]
    key = hashlib.sha256(repr((uri, secrets)).encode()).hexdigest()[:12]
    return pending / f".delivery-{os.getuid()}-{key}.{suffix}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a `sync` for one journal."""

    folder: Path
    name: str
    state: str
    """delivered, running (delivered so far), elsewhere (another process delivers it) or kept."""
    error: TrackingError | None = None
    """Why it was kept."""


def sync(pending: Path, uri: str, *, only_meant_for: str | None = None) -> Iterator[Outcome]:
    """Deliver all journals, oldest first; if the store stops answering, keep the rest.

    Args:
        pending: folder of journals.
        uri: the store.
        only_meant_for: leave out the runs that were started for another store.
    """
    silent: UnreachableError | None = None
    for folder in journals(pending):
        if not is_ours(folder):
            reason = f"only user {folder.stat().st_uid} may write to {folder} and deliver it"
            yield Outcome(folder, folder.name, "kept", TrackingError(reason))
            continue
        with claimed(folder) as mine:
            if not mine:
                if folder.exists():
                    yield Outcome(folder, folder.name, "elsewhere")
                continue
            try:
                header = read_header(folder)
            except ValueError as fault:
                yield Outcome(folder, folder.name, "kept", TrackingError(str(fault)))
                continue
            if only_meant_for not in (None, header.destination):
                continue
            name, live = f"{header.experiment}: {header.name}", is_live(folder)
            try:
                if silent is not None:
                    raise silent
                Delivery(folder, uri).push(ended=not live)
            except TrackingError as error:
                silent = error if isinstance(error, UnreachableError) else None
                yield Outcome(folder, name, "kept", error)
            else:
                yield Outcome(folder, name, "running" if live else "delivered")
