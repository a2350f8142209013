"""The journal of one run: everything it logs, on disk before it is delivered.

A journal is a folder with `events.jsonl`, one JSON object per line, and the artifacts as files. The
writer keeps `events.jsonl` locked. The system releases the lock with the process, so a killed run
can be told from a running one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Header:
    """The description of a run, the first line of its journal."""

    experiment: str
    name: str
    identity: str
    """Unique: a run that the store has already under this tag is never made again."""
    destination: str
    """The store it was meant for, without password."""
    started_ms: int
    tags: dict[str, str]


class Journal:
    """Writes a journal. It never raises: an error ends the tracking, not the run."""

    def __init__(self, folder: Path, header: Header) -> None:
        """Create the folder, under a temporary name until its first line is written and locked."""
        self.folder, self.identity = folder, header.identity
        self._file: TextIO | None = None
        hidden = folder.with_name(f".{folder.name}")
        try:
            shutil.rmtree(hidden, ignore_errors=True)
            (hidden / "artifacts").mkdir(parents=True)
            self._file = (hidden / "events.jsonl").open("a", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._append({"run": asdict(header)})
            if folder.exists():  # the same run, ended but not delivered: replace it
                shutil.rmtree(folder)
            hidden.replace(folder)
        except OSError as error:
            self._give_up(error)

    @classmethod
    def create(
        cls,
        pending: Path,
        *,
        experiment: str,
        name: str,
        destination: str,
        tags: Mapping[str, str],
        identity: str | None = None,
    ) -> Journal:
        """Start the journal of a run that begins now; `identity` is random unless given."""
        identity = identity or uuid.uuid4().hex
        now = _now_ms()
        header = Header(experiment, name, identity, destination, now, dict(tags))
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now / 1000))
        label = "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{experiment}-{name}")
        known = sorted(pending.glob(f"*-{identity[:12]}"))  # keep its name: one folder per run
        return cls(known[0] if known else pending / f"{stamp}-{label}-{identity[:12]}", header)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; a key keeps its first value."""
        self._append({"params": {key: str(value) for key, value in values.items()}})

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of a step, with the current time."""
        numbers = {key: float(value) for key, value in values.items()}
        self._append({"metrics": numbers, "step": step, "time": _now_ms()})

    def artifact(self, path: Path) -> None:
        """Keep a copy of a file."""
        self._keep(path.name, lambda copy: shutil.copyfile(path, copy))

    def write_artifact(self, name: str, content: bytes) -> None:
        """Keep a file with this name and content."""
        self._keep(name, lambda copy: copy.write_bytes(content))

    def end(self, status: str) -> None:
        """Log how the run ended: FINISHED, FAILED or KILLED. Nothing may follow."""
        self._append({"end": status, "time": _now_ms()})
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep(self, name: str, write: Callable[[Path], Any]) -> None:
        if self._file is None:
            return
        hidden = self.folder / "artifacts" / f".{name}"
        try:
            write(hidden)
            hidden.replace(hidden.with_name(name))
        except OSError as error:
            self._give_up(error)
        self._append({"artifact": name})

    def _append(self, event: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        _log.warning("tracking stopped for this run: %s: %s", self.folder, error)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def _now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Events:
    """A part of a journal."""

    lines: list[dict[str, Any]]
    offset: int
    """Bytes of the file up to the end of this stretch."""


def read_events(folder: Path, offset: int = 0) -> Events:
    """Read whole lines from `offset` on, without a line truncated by a kill."""
    with (folder / "events.jsonl").open("rb") as file:
        file.seek(offset)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    lines = []
    for line in whole.splitlines():
        with suppress(ValueError):  # a line truncated by a full disk, with others after it
            lines.append(json.loads(line))
    return Events(lines, offset + len(whole))


def read_header(folder: Path) -> Header:
    """Return the description of a journal's run.

    Raises:
        ValueError: the folder's events.jsonl does not begin like a journal.
    """
    lines = read_events(folder).lines
    try:
        return Header(**lines[0]["run"])
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'events.jsonl'}: is not the journal of a run") from error


def journals(pending: Path) -> list[Path]:
    """Return the folders of all journals, oldest first."""
    return sorted(path.parent for path in pending.glob("[!.]*/events.jsonl"))


def is_ours(folder: Path) -> bool:
    """Tell whether this user may deliver a journal, which needs write access to its folder."""
    return os.access(folder, os.W_OK | os.X_OK) and os.access(folder.parent, os.W_OK)


def is_live(folder: Path) -> bool:
    """Tell whether the process that writes the journal is still running."""
    with (folder / "events.jsonl").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _open_lock(path: Path) -> int:
    """Open a lock file, even one that another user created with another umask."""
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim the delivery of a journal; yields False if another process has claimed it."""
    try:
        file = _open_lock(folder / "delivery.lock")
    except FileNotFoundError:  # delivered and deleted since it was listed
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield (folder / "events.jsonl").exists()
    finally:
        os.close(file)
