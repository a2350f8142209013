"""Whether results can go where somebody says, before the work that makes them."""

from __future__ import annotations

from pathlib import Path


def require_folder(path: Path, option: str = "--out") -> None:
    """Raise ValueError if a folder can't be there, because a file is."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        where = "it" if there == path else str(_named(there, path))
        raise ValueError(f"{option} {path}: must be a folder, but {where} is a file")


def require_file(path: Path, option: str, suffix: str = "") -> None:
    """Raise ValueError if a file can't be there, or its name does not end as it must."""
    if path.is_dir():
        raise ValueError(f"{option} {path}: must be a file, but it is a folder")
    if suffix and path.suffix.lower() != suffix:
        raise ValueError(f"{option} {path}: its name must end in {suffix}")
    require_folder(path.parent, option)


def _named(place: Path, path: Path) -> Path:
    """A place above a path, as the path names it."""
    return next((part for part in path.parents if part.absolute() == place), place)
