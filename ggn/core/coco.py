"""COCO files: strict reading, atomic writing, and annotations by image."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ggn.core.faults import Fault, find_faults, findings

__all__ = [
    "CocoError",
    "Fault",
    "annotations_by_image",
    "drop_faulty",
    "find_faults",
    "read_coco",
    "read_json",
    "write_json",
]

_LISTED_FAULTS = 20


class CocoError(ValueError):
    """A dataset is refused; the message lists its first faults and says how many there are."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        lines = [str(fault) for fault in self.faults[:_LISTED_FAULTS]]
        if len(self.faults) > _LISTED_FAULTS:
            lines.append(f"… and {len(self.faults) - _LISTED_FAULTS} more faults")
        super().__init__("\n".join(lines))


def read_coco(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a COCO-style dataset.

    Raises:
        FileNotFoundError: if there is no such file.
        CocoError: with all faults, if it is not valid.
    """
    dataset = read_json(path)
    faults = find_faults(dataset, str(path))
    if faults:
        raise CocoError(faults)
    checked: dict[str, Any] = dataset
    return checked


def drop_faulty(dataset: Any, file: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the dataset without its faulty annotations, and how many went for which key.

    An annotation with several faults counts once, for the first. Of annotations that share an id,
    the first stays.

    Raises:
        CocoError: if anything but an annotation is faulty: images and categories are not guessed.
    """
    faulty: dict[int, str] = {}
    others: list[Fault] = []
    for finding in findings(dataset, file):
        if finding.section == "annotations" and finding.index is not None:
            faulty.setdefault(finding.index, finding.key)
        else:
            others.append(finding.fault)
    if others:
        raise CocoError(others)
    kept = [a for index, a in enumerate(dataset["annotations"]) if index not in faulty]
    return {**dataset, "annotations": kept}, dict(Counter(faulty.values()))


def annotations_by_image(dataset: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Return the annotations of each image id in file order; [] for images without any."""
    by_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in dataset["images"]}
    for annotation in dataset["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    return by_image


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file strictly: UTF-8, no NaN or Infinity, nothing after the end.

    Raises:
        FileNotFoundError: if there is no such file.
        CocoError: if it is not JSON, with the line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        if not content.strip():
            raise ValueError("the file is empty")
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CocoError([Fault(str(path), "not JSON", _reason(content, error))]) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _reason(content: bytes, error: Exception) -> str:
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "starts with a byte order mark; save it as UTF-8 without one"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return str(error)


def write_json(path: str | os.PathLike[str], content: Any, *, indent: int | None = None) -> None:
    """Write JSON under a temporary name and rename it, so that a file is whole or absent.

    Folders are created. NaN and infinities are refused.

    Raises:
        ValueError: if the content cannot be JSON.
    """
    path = Path(path)
    try:
        text = json.dumps(content, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        reason = next(_not_finite(content, ""), error)
        raise ValueError(f"{path}: cannot be written as JSON: {reason}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _not_finite(content: Any, place: str) -> Iterator[str]:
    if isinstance(content, float) and not math.isfinite(content):
        yield f"{place} is {content}"
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _not_finite(value, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _not_finite(value, f"{place}[{index}]")
