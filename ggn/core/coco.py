"""COCO files: strict reading, atomic writing, and annotations by image."""

import codecs
import gc
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from ggn.core.faults import Fault, find_faults
from ggn.core.files import text_file
from ggn.core.mending import mend

__all__ = [
    "FEDERATION_KEYS",
    "MARKED",
    "MARK_REFUSED",
    "CocoError",
    "Fault",
    "annotations_by_image",
    "drop_faulty",
    "find_faults",
    "has_byte_order_mark",
    "not_finite",
    "open_json",
    "read_coco",
    "read_json",
    "write_json",
]

FEDERATION_KEYS: Final = ("neg_category_ids", "not_exhaustive_category_ids")
"""Keys of images in a federated dataset (LVIS): the categories that an image
lacks, and those that are only partly annotated in it."""
MARKED: Final = "byte order mark before the JSON, skipped"
"""The kind of mend of a file that `has_byte_order_mark`."""
MARK_REFUSED: Final = "starts with a byte order mark; save it as UTF-8 without one"
_LISTED_FAULTS: Final = 20
_SHORT: Final = 8  # characters of a number that probably comes again
_MOST_SHARED: Final = 2**18  # numbers, which take 40 MB
_WRITTEN: Final = 4096  # records serialised at a time
_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CocoError(ValueError):
    """A dataset is refused; the message lists its first faults and the number of further ones."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        lines = [str(fault) for fault in self.faults[:_LISTED_FAULTS]]
        if len(self.faults) > _LISTED_FAULTS:
            lines.append(f"… and {len(self.faults) - _LISTED_FAULTS} more faults")
        super().__init__("\n".join(lines))


def read_coco(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a COCO-style dataset.

    Raises:
        FileNotFoundError: there is no such file.
        CocoError: the dataset is not valid; with all its faults.
    """
    dataset = read_json(path)
    faults = find_faults(dataset, str(path))
    if faults:
        raise CocoError(faults)
    checked: dict[str, Any] = dataset
    return checked


def drop_faulty(dataset: Any, file: str) -> tuple[dict[str, Any], dict[str, int], dict[str, int]]:
    """Return the dataset mended and without its faulty annotations, with counts of both.

    An annotation with several faults counts once, for the first. Of duplicates, the first stays.

    Returns:
        the dataset; the number of annotations left out, by faulty key; the number of records
        mended, by kind.

    Raises:
        CocoError: an image or a category is faulty; these are never guessed or left out.
    """
    done = mend(dataset, file, drop=True)
    if done.faults:
        raise CocoError(done.faults)
    return done.dataset, done.dropped, done.mended


def annotations_by_image(dataset: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Return the annotations of each image id, in file order; [] for images without any."""
    by_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in dataset["images"]}
    for annotation in dataset["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    return by_image


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON as `open_json` opens it, strictly: no NaN or Infinity, nothing after the end.

    Raises:
        FileNotFoundError: there is no such file.
        CocoError: it is not JSON; with line and column, or with each place that holds NaN.
    """
    path = Path(path)
    with open_json(path) as file:
        try:
            content = file.read()
        except (OSError, EOFError, zlib.error) as error:
            raise CocoError([Fault(str(path), "not JSON", f"damaged gzip: {error}")]) from error
    constants, text = [], ""

    def constant(name: str) -> float:
        constants.append(name)
        return float(name)

    try:
        if not content.strip():
            raise ValueError("the file is empty")
        text = content.decode("utf-8")
        del content  # as large as the text
        with _without_garbage_collection():
            document = json.loads(text, parse_constant=constant, parse_float=_Floats().__getitem__)
    except (ValueError, RecursionError) as error:
        reason = _reason(error, text)
        raise CocoError([Fault(str(path), "not JSON", reason)]) from error
    if constants:
        raise CocoError([Fault(str(path), where, why) for where, why in not_finite(document)])
    return document


class _Floats(dict[str, float]):
    """Floats by their text in the file; equal short ones share one object, up to `_MOST_SHARED`.

    Most of a dataset are coordinates, COCO's with two decimals. A float of its own takes 24 bytes
    beside the 8 of its place in the list.
    """

    def __missing__(self, text: str) -> float:
        number = float(text)
        if len(text) <= _SHORT and len(self) < _MOST_SHARED:
            self[text] = number
        return number


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off: JSON has no cycles, and looking costs a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def open_json(path: Path) -> BinaryIO:
    """Open a file for reading as UTF-8; a gzipped one is unpacked, whatever its name.

    PowerShell and Excel write a byte order mark, which is not part of JSON, and PowerShell also
    UTF-16: the mark is skipped, and UTF-16 converted (in memory).

    Raises:
        FileNotFoundError: there is no such file.
        CocoError: the file is damaged gzip or damaged UTF-16.
    """
    mark, file = _marked(path), _unpacked(path)
    if mark is codecs.BOM_UTF8:
        file.seek(len(mark))
    elif mark is not None:
        with file:
            try:
                return io.BytesIO(file.read().decode("utf-16").encode())
            except UnicodeDecodeError as error:
                reason = f"byte {error.start} is not UTF-16"
                raise CocoError([Fault(str(path), "not JSON", reason)]) from error
    return file


def has_byte_order_mark(path: Path) -> bool:
    """Tell whether a file begins with the byte order mark that `open_json` skips.

    Raises:
        FileNotFoundError, CocoError: as in `open_json`.
    """
    return _marked(path) is not None


def _marked(path: Path) -> bytes | None:
    with _unpacked(path) as file:
        try:
            head = file.read(3)
        except (OSError, EOFError, zlib.error) as error:
            raise CocoError([Fault(str(path), "not JSON", f"damaged gzip: {error}")]) from error
    return next((mark for mark in _MARKS if head.startswith(mark)), None)


def _unpacked(path: Path) -> BinaryIO:
    if path.is_dir():
        raise FileNotFoundError(f"{path}: no such file; it is a folder")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if is_packed else path.open("rb")


def not_finite(document: Any, first: int = 0, section: str = "") -> Iterator[tuple[str, str]]:
    """Yield the record and the key of each NaN or Infinity, which are not valid JSON.

    Args:
        document: an object of lists of records, as a dataset is, or a list of records.
        first: number of the first record of a list.
        section: name of the list.
    """
    if isinstance(document, list):
        for index, record in enumerate(document):
            if isinstance(record, dict):
                where = f"{section}[{first + index}]{_named(record)}"
                for place, value in _not_finite(record, ""):
                    yield where, f"{place} is {_constant(value)}, which is not valid JSON"
            else:
                for place, value in _not_finite(record, f"{section}[{first + index}]"):
                    yield place, f"is {_constant(value)}, which is not valid JSON"
    elif isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, list):
                yield from not_finite(value, 0, key)
            else:
                for place, number in _not_finite(value, key):
                    yield place, f"is {_constant(number)}, which is not valid JSON"
    else:
        yield from ((place, "is not valid JSON") for place, _ in _not_finite(document, "value"))


def _named(record: dict[str, Any]) -> str:
    ids = (f" ({key} {record[key]})" for key in ("id", "image_id") if type(record.get(key)) is int)
    return next(ids, "")


def _constant(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _reason(error: Exception, text: str) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if text.lstrip().startswith("<"):
        return "is XML, as CVAT and Pascal VOC write it; export it as COCO"
    if isinstance(error, json.JSONDecodeError) and _is_lines(text, error):
        return "looks like JSON lines (one record per line); put the records into one list"
    return str(error)


def _is_lines(text: str, error: json.JSONDecodeError) -> bool:
    """Whether a whole JSON object is on the first line and another one follows."""
    return (
        error.msg == "Extra data"
        and text.lstrip().startswith("{")
        and "\n" in text[: error.pos]
        and text[error.pos] == "{"
    )


def write_json(path: str | os.PathLike[str], content: Any, *, indent: int | None = None) -> None:
    """Write JSON under a temporary name, then rename it, so that a file is whole or absent.

    Folders are created. NaN and infinities are refused. Without `indent` there is no white space.

    Raises:
        ValueError: the content cannot be written as JSON.
    """
    path = Path(path)
    try:
        with text_file(path) as file:
            for part in _json_parts(content) if indent is None else ():
                file.write(part)
            if indent is not None:
                file.write(json.dumps(content, allow_nan=False, indent=indent))
            file.write("\n")
    except (TypeError, ValueError) as error:
        found = next(_not_finite(content, ""), None)
        reason = f"{found[0]} is {found[1]}" if found else error
        raise ValueError(f"{path}: cannot be written as JSON: {reason}") from error


def _json_parts(content: Any) -> Iterator[str]:
    """Yield the text of JSON in parts: one string of a dataset is as large as its file."""
    dumps = partial(json.dumps, allow_nan=False, separators=(",", ":"))
    if isinstance(content, dict) and all(type(key) is str for key in content):
        for number, (key, value) in enumerate(content.items()):
            yield f"{',' if number else '{'}{dumps(key)}:"
            yield from _json_parts(value) if isinstance(value, list) else (dumps(value),)
        yield "}" if content else "{}"
    elif isinstance(content, list):
        yield "["
        for first in range(0, len(content), _WRITTEN):
            yield ("," if first else "") + dumps(content[first : first + _WRITTEN])[1:-1]
        yield "]"
    else:
        yield dumps(content)


def _not_finite(content: Any, place: str) -> Iterator[tuple[str, float]]:
    """Yield the place and the value of each number that is not finite."""
    if isinstance(content, float) and not math.isfinite(content):
        yield place, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _not_finite(value, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _not_finite(value, f"{place}[{index}]")
