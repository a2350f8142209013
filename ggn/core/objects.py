"""Checks the values of an annotation (crowd, area, box, mask), and mends what can be mended."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ggn.core.agreement import Shape, box_agrees, disagreements, likely, shape_of, xyxy
from ggn.core.masks import area_and_box, areas, from_segmentation
from ggn.core.segmentation import (
    OUTSIDE,
    SCRAPS,
    TOLERANCE_PIXELS,
    are_shares,
    covers_nothing,
    require_numbers,
)

Record = dict[str, Any]
Reasons = Iterator[tuple[str, str]]  # the key concerned, and what is wrong with it
SizeHW = tuple[int, int]

CROWD_WORDS: Final = "iscrowd given as true, false, null or 0.0"
DERIVED: Final = "area or bbox missing, taken from the mask"
BOX_OUTSIDE: Final = "bbox that reaches outside its image, taken from the mask"


@dataclass
class Mending:
    """What has been mended in one annotation."""

    kinds: list[str] = field(default_factory=list)
    """In words, such as `DERIVED`."""
    changes: Record = field(default_factory=dict)
    """The values that replace those of the annotation."""


def value_reasons(annotation: Record, size_hw: SizeHW | None, mending: Mending | None) -> Reasons:
    """Yield all that is wrong with crowd, area, box and mask.

    Args:
        annotation: an object of JSON.
        size_hw: height and width of its image; None if the image itself is faulty.
        mending: receives what is mended and therefore not a fault. None: nothing is mended.
    """
    yield from _crowd_reasons(annotation, mending)
    shape, mask = _shape(annotation, size_hw, mending)
    missing = [key for key in ("area", "bbox") if annotation.get(key) in (None, [])]
    if mending is None or shape is None or size_hw is None:
        missing = []
    elif missing:
        mending.kinds.append(DERIVED)
        mending.changes |= _derived(annotation, size_hw, missing)
    wrong = list(_given_reasons(annotation, missing))
    if not wrong and size_hw is not None and "bbox" not in missing:
        wrong += _outside_reasons(annotation, shape, size_hw, mending)
    if not wrong and shape is not None:
        bbox, area = (None if key in missing else annotation[key] for key in ("bbox", "area"))
        wrong += [("contradiction", said) for said in disagreements(shape, bbox, area, size_hw)]
    yield from wrong
    yield from mask
    if mending is not None and size_hw is not None and shape is not None and not wrong:
        _redraw(annotation, size_hw, shape, mending)


def crowd_value(iscrowd: Any) -> int | None:
    """Return 0 or 1 for what an exporter means by `iscrowd`; None if it is neither.

    COCO has 0 and 1. Exporters also write true and false, null for a value not set, or 0.0.
    """
    if iscrowd is None:
        return 0
    return int(iscrowd) if isinstance(iscrowd, int | float) and iscrowd in (0, 1) else None


def _crowd_reasons(annotation: Record, mending: Mending | None) -> Reasons:
    iscrowd = annotation.get("iscrowd", 0)
    if type(iscrowd) is int and iscrowd in (0, 1):
        return
    value = crowd_value(iscrowd)
    if mending is None or value is None:
        yield "iscrowd", f"iscrowd must be 0 or 1, got {reprlib.repr(iscrowd)}"
    else:
        mending.changes["iscrowd"] = value
        mending.kinds.append(CROWD_WORDS)


def _shape(
    annotation: Record, size_hw: SizeHW | None, mending: Mending | None
) -> tuple[Shape | None, list[tuple[str, str]]]:
    """Return the shape of the mask, or None and the reason. Without a valid image, don't judge."""
    if "segmentation" not in annotation:
        return None, [("segmentation", "has no key 'segmentation'")]
    if size_hw is None:  # the fault of the image is reported instead
        return None, []
    mended = None if mending is None else mending.kinds
    try:
        return _covering(annotation["segmentation"], size_hw, mended), []
    except ValueError as error:
        return None, [("segmentation", str(error))]


def _covering(segmentation: Any, size_hw: SizeHW, mended: list[str] | None) -> Shape:
    shape = shape_of(segmentation, size_hw, mended)
    if shape is not None and shape.is_broad and not _leaves(shape, size_hw):
        return shape
    if (
        shape is None
        or are_shares(segmentation, size_hw)
        or not areas([from_segmentation(segmentation, size_hw, mended)]).any()
    ):
        raise ValueError(covers_nothing(segmentation, size_hw))
    return shape


def _leaves(shape: Shape, size_hw: SizeHW) -> bool:
    return any(outline.reaches_outside(size_hw) for outline in shape.outlines)


def _given_reasons(annotation: Record, missing: list[str]) -> Reasons:
    for key, check in (("area", _check_area), ("bbox", _check_bbox)):
        if key in missing:
            continue
        if key not in annotation:
            yield key, f"has no key '{key}'"
            continue
        try:
            check(annotation[key])
        except ValueError as error:
            yield key, str(error)


def _check_area(area: Any) -> None:
    require_numbers([area], "area")
    if area < 0:
        raise ValueError(f"area must be >= 0, got {area}")


def _check_bbox(bbox: Any) -> None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"bbox must be [x, y, width, height], got {reprlib.repr(bbox)}")
    require_numbers(bbox, "bbox")
    if bbox[2] <= 0 or bbox[3] <= 0:
        raise ValueError(f"bbox [x, y, width, height] must have a width and height > 0, got {bbox}")


def _outside_reasons(
    annotation: Record, shape: Shape | None, size_hw: SizeHW, mending: Mending | None
) -> Reasons:
    """Mend a box that reaches outside its image if the mask agrees; otherwise yield a fault."""
    bbox, (height, width) = annotation["bbox"], size_hw
    x0, y0, x1, y1 = xyxy(bbox)
    far = TOLERANCE_PIXELS
    if x0 >= -far and y0 >= -far and x1 <= width + far and y1 <= height + far:
        return
    agrees = shape is not None and box_agrees((x0, y0, x1, y1), shape.box, size_hw)
    if mending is not None and agrees:
        mending.kinds.append(BOX_OUTSIDE)
        mending.changes |= _derived(annotation, size_hw, ["bbox"])
        return
    image = f"the image, {width} wide and {height} high"
    guess = "" if shape is None or agrees else likely(bbox, shape, size_hw)
    yield "bbox", f"bbox [x, y, width, height] = {bbox} reaches outside {image}{guess}"


def _derived(annotation: Record, size_hw: SizeHW, keys: list[str]) -> Record:
    """Return area (in pixels) and bbox of an annotation's mask, for the keys asked for."""
    derived = area_and_box(from_segmentation(annotation["segmentation"], size_hw, []))
    return {key: derived[key] for key in keys}


def _redraw(annotation: Record, size_hw: SizeHW, shape: Shape, mending: Mending) -> None:
    """Clip polygons that leave the image, and leave out those of one or two points."""
    if OUTSIDE in mending.kinds:
        mask = from_segmentation(annotation["segmentation"], size_hw, [])
        mending.changes["segmentation"] = mask
        mending.changes |= _derived({"segmentation": mask}, size_hw, ["area", "bbox"])
    elif SCRAPS in mending.kinds:
        mending.changes["segmentation"] = [outline.numbers for outline in shape.outlines]
