"""Where a stage keeps what it resumes from, and who owns that folder."""

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

SCRATCH = Path(".scratch")


class BusyError(ValueError):
    """Another process works on the same outputs; the message names it."""


def fingerprint(seed: int, sections: Mapping[str, BaseModel], paths: list[Path]) -> str:
    """Hash all that decides a stage's result, so that no run resumes from another one's state.

    Tracking looks on and decides nothing: it is left out.
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
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    """Return the small files that identify a DVC output folder: its JSON, weights and shards."""
    suffixes = {".json", ".safetensors", ".parquet"}
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


@contextmanager
def owned(scratch: Path) -> Iterator[None]:
    """Own a stage's scratch folder, made if need be, and so its outputs, as long as the body runs.

    The lock is a file that the system unlocks with the process, however that ends. It is one for
    all states of a stage, because they write the same outputs.

    Args:
        scratch: `.scratch/STAGE/LABEL/STATE`.

    Raises:
        BusyError: naming the process that owns it.
    """
    path = scratch.parent / "owner.lock"
    with _locked(path) as file:
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        scratch.mkdir(exist_ok=True)
        yield
        path.unlink()
    with suppress(OSError):  # another start of this stage keeps its own state there
        scratch.parent.rmdir()


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Open a lock file and lock it; it may go with its owner, then a new one is made."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:  # the owner has just ended, and its folder is gone
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read() or "another process"
                raise BusyError(
                    f"{path.parent}: {owner} is at work on this stage; wait for it, or end it"
                ) from None
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                yield file
                return
