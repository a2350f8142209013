"""Reads annotations and predictions, and checks what is compared before anything is computed.

Nothing else is checked, so that anybody's COCO files will do: no file names, and no masks if boxes
are compared. (`ggn.core.coco` checks whole datasets.)
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ggn.core.coco import (
    FEDERATION_KEYS,
    MARK_REFUSED,
    MARKED,
    CocoError,
    Fault,
    has_byte_order_mark,
    read_json,
)
from ggn.core.faults import Mends
from ggn.core.foreign import looks_like, looks_like_wrapped
from ggn.core.objects import crowd_value
from ggn.core.spelling import respell, respelt
from ggn.core.values import (
    LENIENT_ID_ALLOWED,
    is_lenient_finite,
    is_lenient_id,
    is_lenient_integer,
    short,
)
from ggn.evaluation.columns import Columns
from ggn.evaluation.contradictions import contradictions
from ggn.evaluation.image_records import Federation, Images
from ggn.evaluation.object_shapes import ObjectShapes, Record
from ggn.evaluation.other_results import as_coco
from ggn.evaluation.params import IouType
from ggn.evaluation.repetitions import repetition_warnings
from ggn.evaluation.run_lengths import are_sound

FaultsOf = Callable[[Record], Iterator[str]]


@dataclass(frozen=True)
class Annotations:
    """The checked part of a COCO dataset; masks are compressed RLE, each object has an area."""

    images: Images
    categories: list[Record]
    objects: list[Record]
    contradictions: list[Fault]
    """Objects whose box, area and mask contradict each other; the metrics may then mislead."""
    warnings: list[str]
    """Sentences on duplicates."""
    mends: Mends
    """Objects that were mended in reading."""


def read_annotations(
    annotations: Path | str | Mapping[str, Any],
    iou_types: Sequence[IouType],
    *,
    strict: bool = False,
) -> Annotations:
    """Read images, categories and objects of a COCO file or of its contents.

    An object needs `image_id`, `category_id` and what `iou_types` compare: a `segmentation` in any
    of COCO's forms, or a `bbox` (x, y, width, height; by default that of the mask). A missing
    `iscrowd` is 0; a missing `area` is that of the mask, or else of the box. Polygons are clipped
    to the image. Ids of annotations don't matter.

    Args:
        annotations: the file or its contents.
        iou_types: what is compared.
        strict: refuse what is otherwise mended in reading, and objects whose box, area and mask
            contradict each other.

    Raises:
        CocoError: naming file, record, key and what is allowed, for every fault.
        FileNotFoundError: no such file.
    """
    file, dataset = _load(annotations, "annotations")
    if not isinstance(dataset, Mapping):
        reason = f"must be an object, got {short(dataset)}{looks_like(dataset)}"
        raise CocoError([Fault(file, "top level", reason)])
    if foreign := looks_like(dataset):
        raise CocoError([Fault(file, "top level", f"is not a COCO-style dataset{foreign}")])
    mended: dict[int, list[str]] = {}
    mends = mends_of_file(annotations, strict=strict)
    if not strict:
        dataset = _respelt(file, dataset, mended, mends)
    categories = _checked(file, "categories", dataset.get("categories"), _unique_id("name"))
    category_ids = {category["id"] for category in categories}
    images = _images(file, dataset.get("images"), category_ids)
    shapes = ObjectShapes(images, iou_types, mended=mended)

    def faults_of(record: Record) -> Iterator[str]:
        category_id = record.get("category_id")
        if not is_lenient_integer(category_id) or category_id not in category_ids:
            yield f"category_id must be the id of a category, got {short(category_id)}"
        if crowd_value(record.get("iscrowd", 0)) is None:
            yield f"iscrowd must be 0 or 1, got {short(record['iscrowd'])}"
        area = record.get("area")
        if area is not None and not (is_lenient_finite(area) and area >= 0):
            yield f"area must be a finite number >= 0, got {short(area)}"
        yield from shapes.faults_of(record)

    records: Any = dataset.get("annotations")
    objects = _checked(file, "annotations", records, faults_of, shapes)
    place, masks = _Place(file, "annotations"), objects if "segm" in iou_types else None
    odd = [
        replace(place.fault(index, records[index], reason), kind="contradiction")
        for index, reason in contradictions(records or [], masks, images.sizes_hw)
    ]
    objects = [shapes.completed(index, record) for index, record in enumerate(objects)]
    of_objects, refused = _counted(place, records, mended)
    mends.join(of_objects)
    if strict and (odd or refused):
        raise CocoError([*odd, *refused])
    listed = dataset["images"]
    del dataset, records  # of a file, they are the larger part of the memory
    warnings = list(repetition_warnings(listed, objects, images.sizes_hw))
    return Annotations(images, categories, objects, odd, warnings, mends)


def mends_of_file(source: Any, *, strict: bool) -> Mends:
    """Return what is mended of a file as a whole: its byte order mark.

    Raises:
        CocoError: it has one, and `strict` refuses it.
    """
    mends = Mends()
    if isinstance(source, Path | str) and has_byte_order_mark(Path(source)):
        if strict:
            raise CocoError([Fault(str(source), "not JSON", MARK_REFUSED)])
        mends.add(MARKED, "at byte 0")
    return mends


def _respelt(file: str, given: Any, mended: dict[int, list[str]], others: Mends) -> Any:
    """Return a dataset in COCO's form; note kinds of change by object, or count those of others."""

    def note(section: str, index: int, kind: str) -> None:
        if section == "annotations":
            mended.setdefault(index, []).append(kind)
        else:
            others.add(kind, _Place(file, section).fault(index, given[section][index], "").where)

    return respell(given, note)


class PredictionCheck:
    """Checks the records of a COCO results file.

    A record needs `image_id`, `score` and what `iou_types` compare, as in `read_annotations`;
    `category_id` may be missing. A list without a polygon of three points is a mask without a
    pixel, and other polygons are mended as in annotations; `strict` refuses both.
    """

    def __init__(
        self, file: str, images: Images, iou_types: Sequence[IouType], *, strict: bool = False
    ) -> None:
        self.file = file
        self.images = images
        self.compares_masks = "segm" in iou_types
        self.is_strict = strict
        self._shapes = ObjectShapes(images, iou_types, may_be_empty=True)

    def records(
        self, records: Sequence[Any], first: int
    ) -> tuple[list[Record], list[Fault], Mends]:
        """Return the valid records, with masks as compressed RLE, the faults, and what was mended.

        Args:
            records: of any kind.
            first: the number of the first one in its file.
        """
        place, mended = _Place(self.file, "predictions", first), dict[int, list[str]]()
        shapes = replace(self._shapes, mended=mended)
        read = list(records)
        for index, record in enumerate(() if self.is_strict else records):
            if not isinstance(record, Mapping):
                continue
            changes, respelt_kinds = respelt(self._compared(record))
            whole, kinds = as_coco(record, changes, self.images)
            if respelt_kinds or kinds:
                read[index] = whole
                mended[index] = [*respelt_kinds, *kinds]
        sound, faults = _sorted_out(place, read, self._faults_of, shapes)
        mends, refused = _counted(place, records, mended)
        return sound, [*faults, *refused] if self.is_strict else faults, mends

    def _compared(self, record: Record) -> Record:
        """Return what is read of a record, as of columns: its other keys may be anything."""
        mask = ("segmentation",) if self._shapes.needs_mask(record) else ()
        keys = ("image_id", "category_id", "score", "bbox", *mask)
        return {key: record[key] for key in keys if key in record}

    def are_sound(self, columns: Columns) -> bool:
        """Whether columns surely have no fault; a fast check of all records together."""
        detections = columns.detections
        boxes = detections.boxes_xywh[detections.has_box]
        sizes_hw = self.images.sizes_of(detections.image_ids)
        if sizes_hw is None or not np.isfinite(detections.scores).all():
            return False
        if not (np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all()):
            return False
        if columns.sizes_hw is None:
            return not self.compares_masks and bool(detections.has_box.all())
        return np.array_equal(sizes_hw, columns.sizes_hw) and bool(
            are_sound(detections.masks, sizes_hw.prod(axis=1)).all()
        )

    def _faults_of(self, record: Record) -> Iterator[str]:
        if not is_lenient_finite(record.get("score")):
            yield f"score must be a finite number, got {short(record.get('score'))}"
        if not is_lenient_id(record.get("category_id", 0)):
            yield f"category_id must be {LENIENT_ID_ALLOWED}, got {short(record['category_id'])}"
        yield from self._shapes.faults_of(record)


def _load(source: Any, name: str) -> tuple[str, Any]:
    """Return a name for messages, and the contents."""
    if isinstance(source, Path | str):
        return str(source), read_json(Path(source))
    return name, source


@dataclass(frozen=True)
class _Place:
    """The position of records in a file, for messages."""

    file: str
    section: str
    first: int = 0
    """The number of the first of them in the section."""

    def fault(self, index: int, record: Any, reason: str) -> Fault:
        keys = [key for key in ("id", "image_id") if isinstance(record, Mapping) and key in record]
        ids = ", ".join(f"{key} {short(record[key])}" for key in keys)
        where = f"{self.section}[{self.first + index}]" + (f" ({ids})" if ids else "")
        return Fault(self.file, where, reason)


def _counted(
    place: _Place, records: Sequence[Any], mended: Mapping[int, Sequence[str]]
) -> tuple[Mends, list[Fault]]:
    """Return what was mended of which record, counted by kind, and as faults."""
    mends, refused = Mends(), []
    for index in sorted(mended):
        for kind in dict.fromkeys(mended[index]):
            fault = place.fault(index, records[index], f"is mended in reading: {kind}")
            mends.add(kind, fault.where)
            refused.append(fault)
    return mends, refused


def _checked(
    file: str,
    section: str,
    records: Any,
    faults_of: FaultsOf,
    shapes: ObjectShapes | None = None,
) -> list[Record]:
    """Return the records, with masks read if there are `shapes`; refuse any fault."""
    if not isinstance(records, list | tuple):
        raise CocoError([not_a_list(file, section, records)])
    checked, faults = _sorted_out(_Place(file, section), records, faults_of, shapes)
    if faults:
        raise CocoError(faults)
    return checked


def not_a_list(file: str, section: str, records: Any) -> Fault:
    """Return the fault of a section that is not a list."""
    meant = looks_like_wrapped(records) if section == "predictions" else ""
    return Fault(file, section, f"must be a list, got {short(records)}{meant}")


def _sorted_out(
    place: _Place,
    records: Sequence[Any],
    faults_of: FaultsOf,
    shapes: ObjectShapes | None = None,
) -> tuple[list[Record], list[Fault]]:
    """Return the valid records, with masks read if there are `shapes`, and all faults."""
    checked: list[Record] = []
    faults: list[Fault] = []
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            reasons = [f"must be an object, got {short(record)}"]
        elif not (reasons := list(faults_of(record))):
            try:
                checked.append(record if shapes is None else shapes.with_mask(index, record))
            except ValueError as error:
                reasons = [f"segmentation: {error}"]
        faults += [place.fault(index, record, reason) for reason in reasons]
    return checked, faults


def _unique_id(*text_keys: str) -> FaultsOf:
    """Return a check for a new integer id, and for strings under the given keys."""
    known: set[int] = set()

    def faults_of(record: Record) -> Iterator[str]:
        number = record.get("id")
        if not is_lenient_id(number):
            yield f"id must be {LENIENT_ID_ALLOWED}, got {short(number)}"
        elif number in known:
            yield f"id {number} is already used"
        else:
            known.add(number)
        for key in text_keys:
            if not isinstance(record.get(key), str):
                yield f"{key} must be a string, got {short(record.get(key))}"

    return faults_of


def _images(file: str, images: Any, category_ids: Collection[int]) -> Images:
    new_id = _unique_id()
    is_federated = isinstance(images, list | tuple) and any(
        key in image for image in images if isinstance(image, Mapping) for key in FEDERATION_KEYS
    )

    def faults_of(record: Record) -> Iterator[str]:
        yield from new_id(record)
        for key in FEDERATION_KEYS if is_federated else ():
            yield from _faults_of_ids(key, record.get(key), category_ids)

    records = _checked(file, "images", images, faults_of)
    sizes_hw = {
        record["id"]: (int(record["height"]), int(record["width"]))
        for record in records
        if all(is_lenient_integer(side := record.get(k)) and side > 0 for k in ("height", "width"))
    }
    federation = {
        record["id"]: Federation(*(frozenset(record[key]) for key in FEDERATION_KEYS))
        for record in records
        if is_federated
    }
    names = {r["id"]: r["file_name"] for r in records if isinstance(r.get("file_name"), str)}
    return Images(frozenset(record["id"] for record in records), sizes_hw, federation, names)


def _faults_of_ids(key: str, ids: Any, category_ids: Collection[int]) -> Iterator[str]:
    """Yield the faults of a list that every image of a federated dataset must have."""
    if not isinstance(ids, list | tuple):
        yield f"{key} must be a list of category ids, as in other images, got {short(ids)}"
    elif unknown := [id_ for id_ in ids if not is_lenient_integer(id_) or id_ not in category_ids]:
        yield f"{key} must hold ids of categories, got {short(unknown[0])}"
