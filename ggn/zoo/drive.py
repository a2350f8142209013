"""Downloads one file from Google Drive with gdown; each kind of failure has one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import gdown
import requests
from gdown.exceptions import FileURLRetrievalError

HOSTS = ("drive.google.com", "docs.google.com")


class DriveError(ValueError):
    """Why the Drive did not send a file; the next call continues after `kept` bytes."""

    def __init__(self, reason: str, kept: int = 0) -> None:
        self.kept = kept
        super().__init__(reason)


def from_drive(
    url: str, path: Path, timeout: float, progress: Callable[[int, int | None], None]
) -> None:
    """Download to `path`, continuing what an earlier call left beside it.

    Raises:
        DriveError: saying what went wrong and what to do, without the address.
        OSError: the disk failed.
    """
    before = _kept(path)
    try:
        gdown.download(
            url,
            str(path),
            quiet=True,
            use_cookies=False,  # they would be stored in the home folder
            resume=True,
            progress=progress,
            timeout=timeout,
        )
    except FileURLRetrievalError as error:
        raise DriveError(
            f"Google Drive sent a page instead of the file: {_said(error)}."
        ) from error
    except requests.HTTPError as error:
        raise DriveError(f"Google Drive answered: {error}.") from error
    except (requests.RequestException, gdown.exceptions.DownloadError) as error:
        raise _interrupted(path, before, error) from error


def _kept(path: Path) -> int:
    """Return the number of bytes that an earlier call left."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*.part"))


def _interrupted(path: Path, before: int, error: Exception) -> DriveError:
    """Return the error of an incomplete transfer, depending on what is kept of it."""
    offline = any(
        isinstance(cause, requests.ConnectionError | requests.Timeout) for cause in _causes(error)
    )
    kept = _kept(path)
    if kept > before:
        return DriveError(f"interrupted after {kept} bytes.", kept)
    if offline:
        reason = f"Google Drive cannot be reached ({_reason(error)}). Is this machine online?"
        return DriveError(reason, kept)
    for part in path.parent.glob(f"{path.name}*.part"):
        part.unlink()
    if kept:
        return DriveError(
            "cannot be continued, perhaps because the file has changed; the same command starts "
            "again."
        )
    return DriveError(f"Google Drive did not send the file ({_reason(error)}).")


def _reason(error: Exception) -> str:
    """Return the innermost message of the errors that requests and urllib3 nest."""
    found = re.search(r"([^()'\":>]+)['\")]*$", str(error))
    return found[1].strip() if found else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _said(error: FileURLRetrievalError) -> str:
    """Return the Drive's own message, without gdown's text around it."""
    text = " ".join(str(error).split())
    if "Cannot retrieve the public link" in text:
        return "the file is gone, or not public, or was downloaded too often"
    found = re.search(r"Failed to retrieve file url: (.*) You may still be able", text)
    return re.sub(r"<[^>]+>", "", found[1] if found else text).removesuffix(".")
