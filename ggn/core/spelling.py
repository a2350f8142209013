"""Values that exporters write in another form than COCO's, read where their meaning is certain."""

import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

NUMBERS: Final = "records with ids or numbers in another form ('3', 3.0)"
NAMES: Final = "category names given as numbers"
POLYGONS: Final = "polygons given as one flat list or as points"
RUNS: Final = "run lengths in another form (in a list, their size as 20.0, counts as b'…')"

_INTEGERS: Final = ("id", "image_id", "category_id", "width", "height")
_REALS: Final = ("iscrowd", "area", "score")
_IDS = itemgetter("id", "image_id", "category_id")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_REAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{0,30})?(e[-+]?[0-9]{1,2})?", re.IGNORECASE)

Record = Mapping[str, Any]
Note = Callable[[str, int, str], None]


def respell(dataset: Any, note: Note) -> Any:
    """Return a dataset with its records in COCO's form; the very same if they are.

    Args:
        dataset: what a JSON file holds.
        note: is called with section, position and kind of each record that is changed.
    """
    if not isinstance(dataset, Mapping):
        return dataset
    changed = {}
    for section in ("images", "categories", "annotations"):
        records = dataset.get(section)
        if not isinstance(records, list):
            continue
        copies: list[Any] | None = None
        for index, record in enumerate(records):
            if _is_usual(record):
                continue
            changes, kinds = respelt(record)
            if not kinds:
                continue
            copies = [*records] if copies is None else copies
            copies[index] = {**record, **changes}
            for kind in kinds:
                note(section, index, kind)
        if copies is not None:
            changed[section] = copies
    return {**dataset, **changed} if changed else dataset


def respelt(record: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a record that have another form than COCO's, in that form; and kinds.

    Numbers may be strings, integers may have a decimal point; `name` may be an integer. A
    segmentation may be one polygon without a list around it, polygons of points [x, y], or run
    lengths in a list, with a size of such numbers, or with counts as Python shows bytes.
    """
    if not isinstance(record, Mapping):
        return {}, []
    changes: dict[str, Any] = _numbers(record)
    kinds = [NUMBERS] if changes else []
    if type(record.get("name")) is int:
        changes["name"] = str(record["name"])
        kinds.append(NAMES)
    segmentation = record.get("segmentation")
    found = _run_lengths(segmentation) or _polygons(segmentation)
    if found is not None:
        changes["segmentation"] = found
        kinds.append(RUNS if isinstance(found, dict) else POLYGONS)
    return changes, kinds


def _is_usual(record: Any) -> bool:
    """Whether an annotation is surely in COCO's form: a fast check for the usual case."""
    try:
        ids, segmentation = _IDS(record), record["segmentation"]
        numbers = {*map(type, record["bbox"]), type(record["area"]), type(record.get("iscrowd"))}
        if {*map(type, ids)} != {int} or str in numbers or "score" in record or "name" in record:
            return False
        if type(segmentation) is list:
            return len(segmentation[0]) >= 6 and type(segmentation[0][0]) in (int, float)
        sides, counts = segmentation["size"], segmentation["counts"]
        return {*map(type, sides)} == {int} and not (type(counts) is str and counts[:1] == "b")
    except (KeyError, TypeError, IndexError):
        return False


def _numbers(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _INTEGERS:
        value = record.get(key)
        if (type(value) is str or type(value) is float) and (n := _integer(value)) is not None:
            found[key] = n
    for key in _REALS:
        value = record.get(key)
        if type(value) is str and (number := _real(value)) is not None:
            found[key] = number
    bbox = record.get("bbox")
    if isinstance(bbox, list) and str in map(type, bbox):
        numbers = [_real(value) if type(value) is str else value for value in bbox]
        if None not in numbers:
            found["bbox"] = numbers
    return found


def _integer(value: Any) -> int | None:
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    if type(value) is str:
        return int(value) if _INTEGER.fullmatch(value) else None
    return value if type(value) is int else None


def _real(value: str) -> float | None:
    if _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if _REAL.fullmatch(value) else None


def _run_lengths(segmentation: Any) -> dict[str, Any] | None:
    """Return run lengths in COCO's form if they have another one; otherwise None."""
    rle: Any = segmentation
    changes: dict[str, Any] = {}
    if isinstance(segmentation, list):
        if len(segmentation) != 1 or not isinstance(segmentation[0], dict):
            return None
        rle = segmentation[0]
    elif not isinstance(segmentation, dict):
        return None
    size, counts = rle.get("size"), rle.get("counts")
    if isinstance(size, list) and not {float, str}.isdisjoint(map(type, size)):
        sides = [_integer(side) for side in size]
        if None not in sides:
            changes["size"] = sides
    if isinstance(counts, str) and counts[:2] in ("b'", 'b"') and counts[-1] == counts[1]:
        changes["counts"] = counts[2:-1].replace("\\\\", "\\")
    return {**rle, **changes} if changes or rle is not segmentation else None


def _polygons(segmentation: Any) -> list[Any] | None:
    """Return polygons as lists [x1, y1, x2, …] if they have another form; otherwise None."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    if type(segmentation[0]) in (int, float):
        is_flat = len(segmentation) >= 6 and set(map(type, segmentation)) <= {int, float}
        return [segmentation] if is_flat else None
    if (points := _points(segmentation)) is not None:
        return [points]
    parts = [_points(part) for part in segmentation]
    return parts if None not in parts else None


def _points(polygon: Any) -> list[float] | None:
    """Return the numbers of at least three points [x, y]; None for anything else."""
    if not isinstance(polygon, list) or len(polygon) < 3:
        return None
    numbers: list[float] = []
    for point in polygon:
        if not isinstance(point, list) or len(point) != 2:
            return None
        numbers += point
    return numbers if set(map(type, numbers)) <= {int, float} else None
