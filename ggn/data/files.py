"""Finds the image that a record names, even if the disk spells the name differently."""

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote


def find_image(folder: str | os.PathLike[str], file_name: str) -> str:
    """Return the actual name of an image, relative to `folder`.

    That is `file_name`, or else a name that differs from it only in its Unicode normal form (a Mac
    writes names decomposed), has `/` for its backslashes (Windows), or blanks and letters for its
    `%20` and `%C3%A9` (web tools). If there is none, return `file_name`.
    """
    folder = Path(folder)
    if (folder / file_name).is_file():
        return file_name
    for name in dict.fromkeys((file_name, file_name.replace("\\", "/"), unquote(file_name))):
        if not _stays_inside(name):
            continue
        found = _respelt(folder, name)
        if found is not None:
            return found
    return file_name


def _stays_inside(name: str) -> bool:
    """Whether a relative path stays in its folder: `%2E%2E%2F` would lead out of it."""
    return "\0" not in name and not name.startswith("/") and ".." not in Path(name).parts


def _respelt(folder: Path, file_name: str) -> str | None:
    """Return the name as the disk spells it; None if a part is missing or ambiguous."""
    found = Path()
    for part in Path(file_name).parts:
        if (folder / found / part).exists():
            found /= part
            continue
        if not (folder / found).is_dir() or part.isascii():
            return None
        wanted = unicodedata.normalize("NFC", part)
        names = [path.name for path in (folder / found).iterdir()]
        alike = [name for name in names if unicodedata.normalize("NFC", name) == wanted]
        if len(alike) != 1:
            return None
        found /= alike[0]
    return found.as_posix() if (folder / found).is_file() else None
