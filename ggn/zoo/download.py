"""One file over HTTP or from Google Drive: goes on where it broke off, says what went wrong."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 60.0
"""Seconds that a server may stay silent."""
_BLOCK = 1 << 20
_DRIVE = ("drive.google.com", "docs.google.com")


class DownloadError(ValueError):
    """A download that failed; the message names the address and what to do."""


def download(url: str, folder: Path) -> Path:
    """Download to `folder/download` and return that path.

    A part left by an earlier call is continued, if the server says that its file is the same.

    Raises:
        DownloadError: naming the address: unreachable, refused, broken off, or the disk is full.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise DownloadError(f"{url}: must be http:// or https://, or a file on disk")
    try:
        if parts.hostname in _DRIVE:
            return _from_drive(url, folder / "download")
        return _from_server(url, folder / "download")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file, or longer
            (folder / "download.part").unlink(missing_ok=True)
            raise DownloadError(
                f"{url}: another file by now; the same command starts anew"
            ) from None
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DownloadError(
            f"{url}: cannot be reached ({error.reason}). Is this machine online? A file brought "
            "from elsewhere can be given instead: --url FILE"
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


def _broken(url: str, reason: str) -> DownloadError:
    return DownloadError(f"{url}: broke off ({reason}); the same command continues")


def _from_server(url: str, path: Path) -> Path:
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
        with part.open("ab" if going_on else "wb") as file:
            shutil.copyfileobj(answer, file, _BLOCK)
            expected = answer.headers.get("Content-Length")
            got = file.tell() - (_start(answer) if going_on else 0)
    if expected is not None and got != int(expected):
        raise _broken(url, f"{got} of {expected} bytes came")
    part.replace(path)
    mark.unlink(missing_ok=True)
    return path


def _version(answer: HTTPResponse) -> str:
    """What tells this version of the file from others: a strong ETag, or nothing."""
    tag = answer.headers.get("ETag") or ""
    return "" if tag.startswith("W/") else tag


def _start(answer: HTTPResponse) -> int:
    """The first byte of `Content-Range: bytes 100-199/200`."""
    return int((answer.headers.get("Content-Range") or "bytes 0-").split()[1].split("-")[0])


def _from_drive(url: str, path: Path) -> Path:
    if importlib.util.find_spec("gdown") is None:
        raise DownloadError(
            f"{url}: Google Drive needs gdown: make remotes, or pip install 'ggn[fetch]'"
        )
    gdown = importlib.import_module("gdown")
    try:
        found = gdown.download(url, str(path), quiet=True, resume=True)
    except Exception as error:  # gdown's own classes differ from version to version
        raise DownloadError(
            f"{url}: Google Drive did not give the file ({error}). A file brought from elsewhere "
            "can be given instead: --url FILE"
        ) from error
    if found is None:
        raise DownloadError(f"{url}: Google Drive did not give the file; is the link still public?")
    return path
