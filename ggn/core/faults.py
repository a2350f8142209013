"""Finds the faults of a COCO dataset: every record that breaks the format, and why."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final, Literal

from ggn.core.foreign import PANOPTIC, is_panoptic, looks_like
from ggn.core.objects import Mending, crowd_value, value_reasons
from ggn.core.values import ID_ALLOWED, MAX_ID, is_id, is_side, short

Record = dict[str, Any]
Reasons = Iterator[tuple[str, str]]  # the key concerned, and what is wrong with it
SizeHW = tuple[int, int]
_MAX_PIXELS: Final = 2**31  # run lengths are 32-bit numbers

NUMBERED: Final = "annotation ids missing, repeated or too large, numbered anew"

Kind = Literal["fault", "contradiction", "repeated", "relabelled"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file."""

    file: str
    where: str
    """The record: its list, position and id, such as `annotations[7] (id 42)`."""
    reason: str
    kind: Kind = "fault"
    """`contradiction`: box, area and mask of an object disagree. `repeated`: a duplicate, which is
    allowed unless strict. `relabelled`: the same object in another category, which is allowed."""

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.reason}"


@dataclass(frozen=True)
class Finding:
    """A fault, and the record that would have to be left out."""

    fault: Fault
    section: str
    index: int | None
    """Position of the record; None if the section itself is faulty."""
    key: str


@dataclass
class Mends:
    """What lenient reading has mended instead of refusing."""

    counts: dict[str, int] = field(default_factory=dict)
    """By kind, in words."""
    first: dict[str, str] = field(default_factory=dict)
    """The first such record, by kind."""
    annotations: dict[int, Record] = field(default_factory=dict)
    """Mended annotations, by position."""
    unnumbered: list[int] = field(default_factory=list)
    """Positions of the annotations that need an id."""

    def add(self, kind: str, where: str) -> None:
        """Count one record."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, where)

    def join(self, later: "Mends") -> None:
        """Count what was mended in a later part of the same file."""
        for kind, count in later.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.first.setdefault(kind, later.first[kind])


def find_faults(dataset: Any, file: str) -> list[Fault]:
    """Return every fault of a COCO-style dataset in the order of the file; [] if it is valid.

    A dataset has lists of `images`, `categories` and `annotations`. Ids are integers from 0 to
    2^63 - 1, unique in their list; a name may be shared by categories that no annotation uses.
    `iscrowd` may be missing (LVIS has none) and then counts as 0. Boxes and polygons may overshoot
    their image by `TOLERANCE_PIXELS`; `ggn.core.agreement` says when box, area and mask of an
    object contradict each other. Duplicates are not faults. The image files are not checked here
    but in `ggn.data.check`.

    Args:
        dataset: what the JSON file holds.
        file: its name, for the messages.
    """
    found = (finding.fault for finding in findings(dataset, file))
    return [fault for fault in found if fault.kind not in ("repeated", "relabelled")]


def findings(dataset: Any, file: str, mends: Mends | None = None) -> Iterator[Finding]:
    """Yield the faults of `find_faults` with the positions of their records, and the duplicates.

    Duplicates are images with the same `file_name`, and objects with the same image, category, box
    and segmentation, or in another category. The finding names the later one.

    Args:
        dataset: as in `find_faults`.
        file: as in `find_faults`.
        mends: receives what is mended and therefore not a fault. None: nothing is mended.
    """
    if not isinstance(dataset, dict):
        reason = "must be an object with images, categories and annotations"
        reason += f", got {short(dataset)}{looks_like(dataset)}"
        yield Finding(Fault(file, "top level", reason), "", None, "")
        return
    if is_panoptic(dataset):
        reason = f"is not a COCO-style dataset{PANOPTIC}"
        yield Finding(Fault(file, "top level", reason), "", None, "")
        return
    known = _Known(dataset, mends)
    for section, reasons in (
        ("images", known.image_reasons),
        ("categories", known.category_reasons),
        ("annotations", known.annotation_reasons),
    ):
        yield from _section(dataset, file, section, reasons)


def _section(
    dataset: Record, file: str, section: str, reasons: Callable[[int, Record], Reasons]
) -> Iterator[Finding]:
    """Yield the faults of one of the three lists."""
    records = dataset.get(section)
    if not isinstance(records, list):
        got = short(records) if section in dataset else "nothing"
        if section == "images":
            got += looks_like(dataset)
        yield Finding(Fault(file, section, f"must be a list, got {got}"), section, None, "")
        return
    if section == "images" and not records:
        yield Finding(Fault(file, section, "is empty; there is nothing to do"), section, None, "")
    for index, record in enumerate(records):
        if isinstance(record, dict):
            found = reasons(index, record)
        else:
            found = iter([("record", f"must be an object, got {short(record)}")])
        for key, reason in found:
            kind: Kind = "fault"
            if key in ("contradiction", "repeated", "relabelled"):
                kind = key  # type: ignore[assignment]
            fault = Fault(file, where(section, index, record), reason, kind)
            yield Finding(fault, section, index, key)


def where(section: str, index: int, record: Any) -> str:
    """Return a record's list, position and id, for messages."""
    named = isinstance(record, dict) and "id" in record
    return f"{section}[{index}]" + (f" (id {short(record['id'])})" if named else "")


def _id_reasons(record: Record, key: str) -> Reasons:
    if key not in record:
        yield key, f"has no key '{key}'"
    elif not is_id(record[key]):
        yield key, f"{key} must be {ID_ALLOWED}, got {short(record[key])}"


def _side_reasons(image: Record, key: str) -> Reasons:
    if key not in image:
        yield key, f"has no key '{key}'"
    elif not is_side(image[key]):
        yield key, f"{key} must be an integer >= 1, got {short(image[key])}"


def _text_reasons(record: Record, key: str) -> Reasons:
    if key not in record:
        yield key, f"has no key '{key}'"
    elif not isinstance(record[key], str) or not record[key].strip():
        yield key, f"{key} must be a non-empty string, got {short(record[key])}"


def _path_reasons(file_name: str, is_strict: bool) -> Reasons:
    shown, windows = short(file_name), PureWindowsPath(file_name)
    if file_name.startswith("/") or windows.drive:
        yield "file_name", f"file_name must be relative to the image folder, got {shown}"
    elif ".." in windows.parts:
        yield "file_name", f"file_name must stay inside the image folder, got {shown}"
    elif "\\" in file_name and is_strict:
        yield "file_name", f"file_name must separate folders with /, got {shown}"
    elif "\0" in file_name or any("\ud800" <= character <= "\udfff" for character in file_name):
        yield "file_name", f"file_name has characters that a file name can't have, got {shown}"


class _Known:
    """Tells why records are faulty.

    Knows the images and categories that annotations may refer to; None if their list is missing.
    """

    def __init__(self, dataset: Record, mends: Mends | None) -> None:
        images = dataset.get("images")
        self.sizes_hw = sizes_hw_of(dataset) if isinstance(images, list) else None
        self.category_ids = _with_ids(dataset.get("categories"))
        self._used_categories = _category_ids_of(dataset.get("annotations"))
        self._mends = mends
        self._first_ids: dict[str, dict[int, int]] = {}
        self._first_files: dict[str, tuple[int, Record]] = {}
        self._first_names: dict[str, tuple[int, Any]] = {}
        self._annotations: Any = dataset.get("annotations")
        self._first_objects: dict[int, int] = {}
        self._further_objects: dict[int, list[int]] = {}
        self._same_image: dict[int, int] = {}

    def image_reasons(self, index: int, image: Record) -> Reasons:
        """Yield all that is wrong with an image."""
        yield from _id_reasons(image, "id")
        sides = [reason for key in ("width", "height") for reason in _side_reasons(image, key)]
        yield from sides
        if not sides and _size_hw(image) is None:
            pixels = f"{image['width']} x {image['height']} pixels"
            yield "width", f"an image of {pixels} is too large for run lengths"
        file_name = list(_text_reasons(image, "file_name"))
        yield from file_name
        if not file_name:
            yield from _path_reasons(image["file_name"], self._mends is None)
        yield from self._used_before("images", index, image)
        if not file_name:
            yield from self._listed_before(index, image)

    def category_reasons(self, index: int, category: Record) -> Reasons:
        """Yield all that is wrong with a category. It may share its name with an unused one."""
        yield from _id_reasons(category, "id")
        yield from _text_reasons(category, "name")
        yield from self._used_before("categories", index, category)
        id_, name = category.get("id"), category.get("name")
        if not isinstance(name, str) or not is_id(id_) or id_ not in self._used_categories:
            return
        first, first_id = self._first_names.setdefault(name, (index, id_))
        if first != index:
            other = f"categories[{first}] (id {first_id})"
            yield "name", f"name {short(name)} is also that of {other}, and annotations use both"

    def annotation_reasons(self, index: int, annotation: Record) -> Reasons:
        """Yield all that is wrong with one annotation, and mend what may be mended."""
        mending = None if self._mends is None else Mending()
        if not self._ids_are_sound(index, annotation):
            yield from self._id_faults(index, annotation, mending)
        image_id, is_faulty = annotation.get("image_id"), False
        size = (self.sizes_hw or {}).get(image_id) if type(image_id) is int else None
        for reason in value_reasons(annotation, size, mending):
            is_faulty = True
            yield reason
        yield from self._same_object(annotation, index)
        if self._mends is not None and mending is not None and not is_faulty:
            for kind in dict.fromkeys(mending.kinds):
                self._mends.add(kind, where("annotations", index, annotation))
            if mending.changes:
                self._mends.annotations[index] = {**annotation, **mending.changes}

    def _used_before(self, section: str, index: int, record: Record) -> Reasons:
        value = record.get("id")
        if type(value) is int:
            first = self._first_ids.setdefault(section, {}).setdefault(value, index)
            if first != index:
                yield "id", f"id {short(value)} is already used by {section}[{first}]"

    def _listed_before(self, index: int, image: Record) -> Reasons:
        name = image["file_name"]
        first, other = self._first_files.setdefault(str(PurePosixPath(name)), (index, image))
        if first == index:
            return
        yield "repeated", f"file_name {short(name)} is already used by images[{first}]"
        if is_id(image.get("id")) and is_id(other.get("id")):
            self._same_image[image["id"]] = other["id"]

    def _ids_are_sound(self, index: int, annotation: Record) -> bool:
        """Whether all three ids are surely valid: a fast check for the usual case."""
        id_, image_id = annotation.get("id"), annotation.get("image_id")
        category_id = annotation.get("category_id")
        if not type(id_) is type(image_id) is type(category_id) is int:
            return False
        return (
            0 <= id_ <= MAX_ID
            and self.sizes_hw is not None
            and image_id in self.sizes_hw
            and self.category_ids is not None
            and category_id in self.category_ids
            and self._first_ids.setdefault("annotations", {}).setdefault(id_, index) == index
        )

    def _id_faults(self, index: int, annotation: Record, mending: Mending | None) -> Reasons:
        ids = [*_id_reasons(annotation, "id"), *self._used_before("annotations", index, annotation)]
        if ids and self._mends is not None and mending is not None:
            self._mends.unnumbered.append(index)
            mending.kinds.append(NUMBERED)
        else:
            yield from ids
        yield from _reference_reasons(annotation, "image_id", "images", self.sizes_hw)
        yield from _reference_reasons(annotation, "category_id", "categories", self.category_ids)

    def _same_object(self, annotation: Record, index: int) -> Reasons:
        """Yield the position of an earlier annotation of the same object, if any."""
        image_id, bbox = annotation.get("image_id"), annotation.get("bbox")
        if type(image_id) is not int or not annotation.get("segmentation"):
            return
        image = self._same_image.get(image_id, image_id)
        try:
            key = hash((image, *(bbox or ())))
        except TypeError:  # a faulty value
            return
        first = self._first_objects.setdefault(key, index)
        if first == index:
            return
        others = self._further_objects.setdefault(key, [first])
        categories = {
            self._annotations[other].get("category_id"): other
            for other in reversed(others)
            if self._annotations[other]["segmentation"] == annotation["segmentation"]
        }
        if (other := categories.get(annotation.get("category_id"))) is not None:
            yield "repeated", f"is the same object as annotations[{other}]"
            return
        others.append(index)
        for category_id, other in [*categories.items()][-1:]:
            if not any(crowd_value(self._annotations[i].get("iscrowd")) for i in (index, other)):
                same = f"is the same object as annotations[{other}], in the category {category_id}"
                yield "relabelled", same


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
    return {r["id"]: r for r in records if isinstance(r, dict) and is_id(r.get("id"))}


def sizes_hw_of(dataset: Record) -> dict[int, SizeHW | None]:
    """Return (height, width) of the images by id; None if no mask can have an image's size."""
    images = _with_ids(dataset.get("images")) or {}
    return {key: _size_hw(image) for key, image in images.items()}


def _size_hw(image: Record) -> SizeHW | None:
    """Return an image's (height, width), or None if no mask can have that size."""
    height, width = image.get("height"), image.get("width")
    if type(height) is int and type(width) is int and height > 0 and width > 0:
        return (height, width) if height * width < _MAX_PIXELS else None
    return None


def _category_ids_of(annotations: Any) -> set[int]:
    if not isinstance(annotations, list):
        return set()
    ids = (a.get("category_id") for a in annotations if isinstance(a, dict))
    return {id_ for id_ in ids if type(id_) is int}
