"""The folder from which a stage resumes, and its lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from ggn.core.checkout import CODE
from ggn.core.files import sha256

SCRATCH = Path(".scratch")


class BusyError(ValueError):
    """Another process is working on the same outputs; the message names it."""


def fingerprint(seed: int, sections: Mapping[str, BaseModel], paths: list[Path]) -> str:
    """Hash everything that affects a stage's result, so that runs never resume another's state.

    Tracking only observes, so it is left out.
    """
    digest = hashlib.sha256(repr((seed, sorted(sections.items()))).encode())
    sources = sorted(
        path
        for folder in (CODE / "ggn", CODE / "pipelines")
        for path in folder.rglob("*")
        if path.suffix in {".py", ".pyx", ".hpp"} and path.parent.name != "tracking"
    )
    inputs = [file for path in paths for file in ([path] if path.is_file() else _files(path))]
    for path in (*sources, *inputs):
        digest.update(path.name.encode())
        digest.update(sha256(path).encode())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    """Return the small files that identify a DVC output folder: its JSON, weights and shards."""
    suffixes = {".json", ".safetensors", ".parquet"}
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


@contextmanager
def owned(scratch: Path) -> Iterator[None]:
    """Lock a stage's scratch folder, and thereby its outputs, during the body.

    The folder is created if necessary. The system releases the lock whenever the process ends. All
    states of a stage share one lock, because they write the same outputs.

    Args:
        scratch: `.scratch/STAGE/LABEL/STATE`.

    Raises:
        BusyError: another process holds the lock, which is named.
    """
    path = scratch.parent / "owner.lock"
    with _locked(path) as file:
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        scratch.mkdir(exist_ok=True)
        yield
        path.unlink()
    with suppress(OSError):  # not empty: it also has the state of another start of this stage
        scratch.parent.rmdir()


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Open and lock a lock file; if its owner deletes it meanwhile, create it again."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # the owner has just ended and deleted its folder
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read() or "another process"
                raise BusyError(
                    f"{path.parent}: {owner} is working on this stage; wait for it, or end it"
                ) from None
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                yield file
                return
