"""Fetches files that the reference's authors released: downloads, checks, converts, adds to DVC."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ggn.core.coco import read_json, write_json
from ggn.core.files import sha256
from ggn.zoo import versioned
from ggn.zoo.conversion import convert, converted_name
from ggn.zoo.download import DownloadError, ReportBytes, download, silent
from ggn.zoo.rows import LICENCE, ReferenceFile, Row


class FetchError(ValueError):
    """A released file is not available, or is not the expected one."""


def wanted_files(row: Row, name: str | None, source: str | None) -> tuple[ReferenceFile, ...]:
    """Return the file of that name, or by default all files of a row with a known address.

    Raises FetchError, saying what to type, if there is none, or a source is given without a name.
    """
    if name is not None:
        return (row.file(name),)
    names = ", ".join(file.name for file in row.files)
    if not names:
        raise FetchError(f"{row.split}: the authors released nothing for this row")
    if source is not None:
        raise FetchError(f"{row.split}: --url needs --file, to say which file it is: {names}")
    known = tuple(file for file in row.files if file.url is not None)
    if not known:
        raise FetchError(
            f"{row.split}: the authors' link to {names} is empty; with the file on disk or another "
            f"address: ggn zoo fetch {row.split} --file {row.files[0].name} --url ADDRESS"
        )
    return known


def place(root: Path, row: Row, file: ReferenceFile) -> Path:
    """Return the path of a fetched file."""
    return root / "releases" / row.split / converted_name(file)


def is_there(root: Path, row: Row, file: ReferenceFile, source: str | None = None) -> bool:
    """Tell whether a file was fetched: from this address, or from any if none is given."""
    target = place(root, row, file)
    record = _record(target.parent, file)
    if not (target.exists() and record.exists()):
        return False
    return source is None or read_json(record)["source"] == source


def fetch(
    root: Path,
    row: Row,
    file: ReferenceFile,
    source: str | None = None,
    progress: ReportBytes = silent,
) -> Path:
    """Fetch one released file and convert it to `releases/ROW/NAME`, under DVC.

    `releases/ROW/NAME.source.json` records its address, size, SHA-256 and licence, and a later
    fetch must match them. Nothing in the file is executed. The result is written whole or not at
    all. A file that was already fetched from this address stays as it is.

    Args:
        root: the checkout.
        row: the row of the published zoo.
        file: one of its files.
        source: an address or a file on disk; by default the address that `file` states.
        progress: shows how far the download is.

    Raises:
        FetchError: there is no address, it does not answer, the connection broke, or the file is
            not the expected one; naming row, file and address.
    """
    target = place(root, row, file)
    if is_there(root, row, file, source):
        if not target.with_name(f"{target.name}.dvc").exists():  # killed before
            versioned.add(root, [target])
        return target
    source = source or file.url
    if source is None:
        raise FetchError(
            f"{row.split}: the authors' link to {file.name} is empty; with the file on disk or "
            f"another address: ggn zoo fetch {row.split} --file {file.name} --url ADDRESS"
        )
    try:
        said = _bring(root, row, file, source, target, progress)
    except (DownloadError, FetchError) as error:
        raise FetchError(f"{row.split}: {file.name}: {error}") from error
    except ValueError as error:  # of the conversion, which names the file on disk
        raise FetchError(
            f"{row.split}: {file.name}: {source}: is not {file.name}, or damaged: {error}"
        ) from error
    write_json(_record(target.parent, file), said, indent=1)
    versioned.add(root, [target])
    return target


def _bring(
    root: Path, row: Row, file: ReferenceFile, source: str, target: Path, progress: ReportBytes
) -> dict[str, object]:
    """Write the converted file and return its record."""
    scratch = root / ".scratch" / "fetch" / f"{row.split}-{file.name}"
    scratch.mkdir(parents=True, exist_ok=True)
    brought = Path(source) if _is_local(source) else download(source, scratch, progress)
    if not brought.is_file():
        raise FetchError(f"{source}: no such file")
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        said = {
            "source": source,
            "size": brought.stat().st_size,
            "sha256": sha256(brought),
            "licence": LICENCE,
        }
        _refuse_page(brought, source)
        _refuse_another(file, _record(target.parent, file), said)
        target.parent.mkdir(parents=True, exist_ok=True)
        convert(file, brought, scratch, fresh, {"row": row.split, **said})
        _remove(target)
        fresh.rename(target)
    finally:
        _remove(fresh)
        shutil.rmtree(scratch)
    return said


def _refuse_page(brought: Path, source: str) -> None:
    with brought.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise FetchError(f"{source}: sent a web page instead of the file")


def _refuse_another(file: ReferenceFile, record: Path, said: dict[str, object]) -> None:
    """Compare size and hash with those that the row states, or that the first fetch recorded."""
    known = {"size": file.size, "sha256": file.sha256}
    if record.exists():
        known = {**read_json(record), **{k: v for k, v in known.items() if v is not None}}
    for key in ("size", "sha256"):
        if known.get(key) is not None and known[key] != said[key]:
            raise FetchError(
                f"{said['source']}: is not the expected file: {key} is {said[key]}, "
                f"not {known[key]}; it is damaged, or was replaced. Nothing was changed"
                + (f"; to accept it, remove {record.name}" if record.exists() else "")
            )


def _record(folder: Path, file: ReferenceFile) -> Path:
    return folder / f"{file.name}.source.json"


def _is_local(source: str) -> bool:
    return "://" not in source


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
