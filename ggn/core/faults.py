"""What makes a COCO dataset faulty: every record that breaks the format, and why it does."""

import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import areas, from_segmentation
from ggn.core.segmentation import TOLERANCE_PIXELS, parse_segmentation, require_numbers

Record = dict[str, Any]
Reasons = Iterator[tuple[str, str]]  # the key concerned, and what is wrong with it
SizeHW = tuple[int, int]
_MAX_PIXELS: Final = 2**31  # run lengths are 32-bit numbers


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file."""

    file: str
    where: str
    """The record: its list, position and id, such as `annotations[7] (id 42)`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.reason}"


@dataclass(frozen=True)
class Finding:
    """A fault, and which record would have to go."""

    fault: Fault
    section: str
    index: int | None
    """Position of the record; None if the section itself is faulty."""
    key: str


def find_faults(dataset: Any, file: str) -> list[Fault]:
    """Return every fault of a COCO-style dataset in the order of the file; [] if it is valid.

    A dataset has lists of `images`, `categories` and `annotations`. Ids are integers >= 0, unique
    in their list. `iscrowd` may be missing (LVIS has none) and then counts as 0. Boxes and polygons
    may overshoot their image by `TOLERANCE_PIXELS`. The image files are not looked at: that is
    `ggn.data.check`.

    Args:
        dataset: what the JSON file holds.
        file: its name, for the messages.
    """
    return [finding.fault for finding in findings(dataset, file)]


def findings(dataset: Any, file: str) -> Iterator[Finding]:
    """Yield the faults of `find_faults` with the places of their records."""
    if not isinstance(dataset, dict):
        reason = "must be an object with images, categories and annotations"
        yield Finding(Fault(file, "top level", f"{reason}, got {_short(dataset)}"), "", None, "")
        return
    known = _Known(dataset)
    yield from _section(dataset, file, "images", ("id", "file_name"), _image_reasons)
    yield from _section(dataset, file, "categories", ("id", "name"), _category_reasons)
    yield from _section(dataset, file, "annotations", ("id",), known.annotation_reasons)


def _section(
    dataset: Record,
    file: str,
    section: str,
    unique_keys: tuple[str, ...],
    reasons: Callable[[Record], Reasons],
) -> Iterator[Finding]:
    """Yield the faults of one of the three lists."""
    records = dataset.get(section)
    if not isinstance(records, list):
        got = _short(records) if section in dataset else "nothing"
        yield Finding(Fault(file, section, f"must be a list, got {got}"), section, None, "")
        return
    if section == "images" and not records:
        yield Finding(Fault(file, section, "is empty; nothing to work on"), section, None, "")
    first_use: dict[str, dict[int | str, int]] = {key: {} for key in unique_keys}
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            found = [("record", f"must be an object, got {_short(record)}")]
        else:
            found = [*reasons(record), *_repeated(record, section, index, first_use)]
        for key, reason in found:
            yield Finding(Fault(file, _where(section, index, record), reason), section, index, key)


def _where(section: str, index: int, record: Any) -> str:
    named = isinstance(record, dict) and "id" in record
    return f"{section}[{index}]" + (f" (id {_short(record['id'])})" if named else "")


def _repeated(
    record: Record, section: str, index: int, first_use: dict[str, dict[int | str, int]]
) -> Reasons:
    for key, used in first_use.items():
        value = record.get(key)
        if type(value) is int:
            first = used.setdefault(value, index)
        elif type(value) is str:
            first = used.setdefault(
                str(PurePosixPath(value)) if key == "file_name" else value, index
            )
        else:
            continue
        if first != index:
            yield key, f"{key} {_short(value)} is already used by {section}[{first}]"


def _id_reasons(record: Record, key: str) -> Reasons:
    if key not in record:
        yield key, f"has no key '{key}'"
    elif not _is_id(record[key]):
        yield key, f"{key} must be an integer >= 0, got {_short(record[key])}"


def _side_reasons(image: Record, key: str) -> Reasons:
    if key not in image:
        yield key, f"has no key '{key}'"
    elif type(image[key]) is not int or image[key] < 1:
        yield key, f"{key} must be an integer >= 1, got {_short(image[key])}"


def _text_reasons(record: Record, key: str) -> Reasons:
    if key not in record:
        yield key, f"has no key '{key}'"
    elif not isinstance(record[key], str) or not record[key].strip():
        yield key, f"{key} must be a text that is not empty, got {_short(record[key])}"


def _category_reasons(category: Record) -> Reasons:
    yield from _id_reasons(category, "id")
    yield from _text_reasons(category, "name")


def _image_reasons(image: Record) -> Reasons:
    yield from _id_reasons(image, "id")
    sides = [reason for key in ("width", "height") for reason in _side_reasons(image, key)]
    yield from sides
    if not sides and _size_hw(image) is None:
        pixels = f"{image['width']} x {image['height']} pixels"
        yield "width", f"an image of {pixels} is too large for run lengths"
    file_name = list(_text_reasons(image, "file_name"))
    yield from file_name
    if not file_name:
        yield from _path_reasons(image["file_name"])


def _path_reasons(file_name: str) -> Reasons:
    shown, windows = _short(file_name), PureWindowsPath(file_name)
    if file_name.startswith("/") or windows.drive:
        yield "file_name", f"file_name must be relative to the image folder, got {shown}"
    elif ".." in windows.parts:
        yield "file_name", f"file_name must stay inside the image folder, got {shown}"
    elif "\\" in file_name:
        yield "file_name", f"file_name must separate folders by /, got {shown}"
    elif "\0" in file_name or any("\ud800" <= character <= "\udfff" for character in file_name):
        yield "file_name", f"file_name holds characters that no file name has, got {shown}"


class _Known:
    """What annotations may refer to; None where the list itself is missing."""

    def __init__(self, dataset: Record) -> None:
        images, categories = (_with_ids(dataset.get(key)) for key in ("images", "categories"))
        self.sizes_hw = None if images is None else {key: _size_hw(images[key]) for key in images}
        self.category_ids = categories

    def annotation_reasons(self, annotation: Record) -> Reasons:
        """Yield all that is wrong with one annotation."""
        yield from _id_reasons(annotation, "id")
        yield from _reference_reasons(annotation, "image_id", "images", self.sizes_hw)
        yield from _reference_reasons(annotation, "category_id", "categories", self.category_ids)
        iscrowd = annotation.get("iscrowd", 0)
        if type(iscrowd) is not int or iscrowd not in (0, 1):
            yield "iscrowd", f"iscrowd must be 0 or 1, got {_short(iscrowd)}"
        image_id = annotation.get("image_id")
        size = (self.sizes_hw or {}).get(image_id) if type(image_id) is int else None
        for key, check in _CHECKS.items():
            if key not in annotation:
                yield key, f"has no key '{key}'"
                continue
            try:
                check(annotation[key], size)
            except ValueError as error:
                yield key, str(error)


def _reference_reasons(
    annotation: Record, key: str, section: str, ids: Mapping[int, Any] | None
) -> Reasons:
    reasons = list(_id_reasons(annotation, key))
    yield from reasons
    if not reasons and ids is not None and annotation[key] not in ids:
        yield key, f"{key} {annotation[key]} is not the id of any of the {section}"


def _with_ids(records: Any) -> dict[int, Record] | None:
    if not isinstance(records, list):
        return None
    return {r["id"]: r for r in records if isinstance(r, dict) and _is_id(r.get("id"))}


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _size_hw(image: Record) -> SizeHW | None:
    """Return the size of an image that a mask can have, or None."""
    height, width = image.get("height"), image.get("width")
    if type(height) is int and type(width) is int and height > 0 and width > 0:
        return (height, width) if height * width < _MAX_PIXELS else None
    return None


def _check_area(area: Any, _size_hw: SizeHW | None) -> None:
    require_numbers([area], "area")
    if area < 0:
        raise ValueError(f"area must be >= 0, got {area}")


def _check_bbox(bbox: Any, size_hw: SizeHW | None) -> None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"bbox must be [x, y, width, height], got {_short(bbox)}")
    require_numbers(bbox, "bbox")
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        raise ValueError(f"bbox [x, y, width, height] must have a width and height > 0, got {bbox}")
    if size_hw is not None and (
        min(x, y) < -TOLERANCE_PIXELS
        or x + width > size_hw[1] + TOLERANCE_PIXELS
        or y + height > size_hw[0] + TOLERANCE_PIXELS
    ):
        image = f"the image, {size_hw[1]} wide and {size_hw[0]} high"
        raise ValueError(f"bbox [x, y, width, height] = {bbox} reaches outside {image}")


def _check_segmentation(segmentation: Any, size_hw: SizeHW | None) -> None:
    if size_hw is None:  # the image's own fault is reported; the form alone can still be judged
        return
    parsed = parse_segmentation(segmentation, size_hw)
    if isinstance(parsed, np.ndarray):
        empty = not parsed[1::2].any()
    else:
        empty = (
            not any(_is_broad(polygon) for polygon in parsed)
            and not areas([from_segmentation(segmentation, size_hw)]).any()
        )
    if empty:
        raise ValueError("segmentation covers no pixel")


def _is_broad(polygon: NDArray[np.float64]) -> bool:
    """Tell whether a polygon surely covers a pixel, at a fraction of the cost of drawing it.

    A region holds a disc of radius area / perimeter, and a disc of radius 1 holds pixel centres.
    """
    x, y = polygon.T
    next_x, next_y = np.roll(polygon, -1, axis=0).T
    area = abs(float(x @ next_y - y @ next_x)) / 2
    return area >= float(np.hypot(next_x - x, next_y - y).sum()) > 0


_CHECKS: Final[Mapping[str, Callable[[Any, SizeHW | None], None]]] = MappingProxyType(
    {"area": _check_area, "bbox": _check_bbox, "segmentation": _check_segmentation}
)


def _short(value: Any) -> str:
    return reprlib.repr(value)
