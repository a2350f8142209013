"""Turns errors of input or machine into one sentence: what, where, and what to do about it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL_SIGNS = re.compile(
    r"No space left on device|os error 28\b|Disk quota exceeded|PytorchStreamWriter failed"
    r"|inline_container\.cc.*unexpected pos|file write failed|database or disk is full"
)
_SHM = Path("/dev/shm")  # noqa: S108 - a place to be named, not written to
_SHARED_MEMORY_SIGNS = re.compile(r"shared memory|shm_open|\bshm\b|Bus error", re.IGNORECASE)


def sentence(error: BaseException) -> str | None:
    """Return the message that the user sees for an error, or None if it is a defect of GGN.

    Errors of the machine (disk, permission, memory) and of the input (ValueError, numbers that are
    not finite) have a message; anything else deserves its traceback.
    """
    chain = list(_chain(error))
    text = "\n".join(str(link) for link in chain)
    full = [link for link in chain if isinstance(link, OSError) and link.errno in _FULL]
    if _SHARED_MEMORY_SIGNS.search(text) and "worker" in text.lower():
        return _shared_memory()
    if full or _FULL_SIGNS.search(text):
        return _disk_full(next((str(link.filename) for link in full if link.filename), None))
    if isinstance(error, OSError):
        return _system(error)
    if isinstance(error, MemoryError) or "out of memory" in text:
        first = next(iter(str(error).strip().splitlines()), "memory is exhausted")
        return f"{first}: choose a smaller batch_size or max_size, or a machine with more memory"
    if isinstance(error, ValueError | ArithmeticError | ImportError):
        return str(error) or type(error).__name__
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__ or link.__context__


def _system(error: OSError) -> str:
    """Name the file and the reason; an OSError that we raise already has its sentence."""
    if error.errno is None or error.strerror is None:
        return str(error) or type(error).__name__
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in _FORBIDDEN:
        return (
            f"{place}{error.strerror}: user {os.getuid()} must be able to read it, and to write "
            "where results go; fix that, then repeat the command"
        )
    return f"{place}{error.strerror}"


def _disk_full(file: str | None) -> str:
    """Name the file, if the error does, and the free space wherever files are written."""
    places = {"here": Path.cwd(), "TMPDIR": Path(tempfile.gettempdir())}
    if file:
        places = {"there": _existing(Path(file)), **places}
    free = ", ".join(
        f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB free {name} ({folder})"
        for name, folder in places.items()
    )
    return (
        f"{file or 'a file'}: no space left: {free}; make room, then repeat the command, which "
        "resumes"
    )


def _existing(path: Path) -> Path:
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def _shared_memory() -> str:
    size = shutil.disk_usage(_SHM).total / 1e6 if _SHM.is_dir() else 0
    return (
        f"{_SHM}: {size:,.1f} MB are too little for the batches of loader workers: enlarge it "
        f"(docker run --shm-size 8g; mount -o remount,size=8g {_SHM}), or set workers: 0"
    )
