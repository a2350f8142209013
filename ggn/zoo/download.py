"""Downloads one file over HTTP or from Google Drive, resumably, with clear errors."""

from __future__ import annotations

import errno
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ggn.zoo import drive

TIMEOUT = 60.0
"""Seconds that a server may stay silent."""
_BLOCK = 1 << 20

ReportBytes = Callable[[int, int | None], None]
"""Gets the number of bytes downloaded so far, and the total if it is known."""


class DownloadError(ValueError):
    """A download that failed; the message names the address and what to do."""


def silent(_done: int, _total: int | None) -> None:
    """Show no progress."""


def download(url: str, folder: Path, progress: ReportBytes = silent) -> Path:
    """Download to `folder/download` and return that path.

    A part left by an earlier call is continued, if the server says that its file is unchanged.

    Raises:
        DownloadError: the address is unreachable, the server refused, the connection broke, or the
            disk is full; naming the address.
    """
    parts = urlsplit(url)
    path = folder / "download"
    if parts.scheme not in {"http", "https"}:
        raise DownloadError(f"{url}: must be http:// or https://, or a file on disk")
    try:
        if parts.hostname in drive.HOSTS:
            drive.from_drive(url, path, TIMEOUT, progress)
        else:
            _from_server(url, path, progress)
        return path
    except drive.DriveError as error:
        hint = f" The same command continues at byte {error.kept}." if error.kept else _ELSEWHERE
        raise DownloadError(f"{url}: {error}{hint}") from error
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file, or longer
            (folder / "download.part").unlink(missing_ok=True)
            raise DownloadError(
                f"{url}: the file has changed; the same command starts again"
            ) from None
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DownloadError(
            f"{url}: cannot be reached ({error.reason}). Is this machine online?{_ELSEWHERE}"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(folder).free
            raise DownloadError(
                f"{url}: the disk of {folder} is full ({free} bytes free)"
            ) from None
        raise _broken(url, str(error)) from error
    except HTTPException as error:
        raise _broken(url, repr(error)) from error


_ELSEWHERE = " If you have the file from elsewhere, give it with --url FILE"


def _broken(url: str, reason: str) -> DownloadError:
    return DownloadError(f"{url}: interrupted ({reason}); the same command continues")


def _from_server(url: str, path: Path, progress: ReportBytes) -> None:
    part, mark = path.with_suffix(".part"), path.with_suffix(".mark")
    request = urllib.request.Request(url)  # noqa: S310 (http or https, checked above)
    if part.exists() and mark.exists():
        request.add_header("Range", f"bytes={part.stat().st_size}-")
        request.add_header("If-Range", mark.read_text(encoding="utf-8"))
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        going_on = answer.status == 206
        mark.write_text(_version(answer), encoding="utf-8")
        if not mark.read_text(encoding="utf-8"):
            mark.unlink()
        start = _start(answer) if going_on else 0
        expected = answer.headers.get("Content-Length")
        total = None if expected is None else start + int(expected)
        with part.open("ab" if going_on else "wb") as file:
            shutil.copyfileobj(answer, _Told(file, total, progress), _BLOCK)
            got = file.tell() - start
    if expected is not None and got != int(expected):
        raise _broken(url, f"received {got} of {expected} bytes")
    part.replace(path)
    mark.unlink(missing_ok=True)


class _Told:
    """A file that reports its length after every block."""

    def __init__(self, file: BinaryIO, total: int | None, progress: ReportBytes) -> None:
        self._file, self._total, self._progress = file, total, progress

    def write(self, block: bytes) -> int:
        written = self._file.write(block)
        self._progress(self._file.tell(), self._total)
        return written


def _version(answer: HTTPResponse) -> str:
    """Return an identifier of this version of the file: a strong ETag, or an empty string."""
    tag = answer.headers.get("ETag") or ""
    return "" if tag.startswith("W/") else tag


def _start(answer: HTTPResponse) -> int:
    """Return the first byte of `Content-Range: bytes 100-199/200`."""
    return int((answer.headers.get("Content-Range") or "bytes 0-").split()[1].split("-")[0])
