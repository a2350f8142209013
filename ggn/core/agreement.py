"""Whether an object's box, area and mask agree, and what was probably meant if they don't.

Tools are off by a pixel, draw boxes a little wide, or state the area of the box instead of the
mask's. None of that matters. What is reported here changes results: boxes as corners, coordinates
as shares of the image, run lengths row by row.
"""

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import hypot
from operator import mul, sub
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from ggn.core.segmentation import Outline, RunLengths, parse_polygons, parse_rle

Box = tuple[float, float, float, float]
SizeHW = tuple[int, int]

PIXELS: Final = 2.0
"""An edge of a box may be off by so many pixels, …"""
SHARE: Final = 0.1
"""… or by this share of the mask's side, whichever is more."""


class Shape(NamedTuple):
    """Facts about a mask that can be told without drawing it."""

    box: Box
    """x0, y0, x1, y1 around all of it, in pixel edges."""
    area: float
    """Of the largest polygon, or of all pixels of run lengths."""
    is_broad: bool
    """Whether it surely covers a pixel."""
    outlines: list[Outline]
    """Its polygons; empty for run lengths."""
    runs: RunLengths | None = None
    """Its run lengths; None for polygons."""


def shape_of(
    segmentation: Any, size_hw: SizeHW | None, mended: list[str] | None = None
) -> Shape | None:
    """Check a segmentation and return its shape; None if its run lengths have no pixel.

    A polygon surely covers a pixel if its area is at least the length of its outline: it then holds
    a disc of radius 1, and such a disc holds the centre of a pixel.

    Args:
        segmentation: as in a COCO annotation.
        size_hw: height and width of its image. None: run lengths have the size that they state, and
            polygons may lie anywhere.
        mended: as in `ggn.core.segmentation.parse_segmentation`.

    Raises:
        ValueError: as `ggn.core.segmentation.parse_segmentation`.
    """
    if isinstance(segmentation, dict):
        if size_hw is None:
            size_hw = _stated_size(segmentation)
        return _shape_of_runs(parse_rle(segmentation, size_hw), size_hw)
    if not isinstance(segmentation, list):
        got = reprlib.repr(segmentation)
        raise ValueError(f"segmentation must be a list of polygons or an RLE object, got {got}")
    outlines = parse_polygons(segmentation, size_hw, mended)
    largest, is_broad = 0.0, False
    for outline in outlines:
        area = _shoelace(outline.numbers)
        largest = max(largest, area)
        is_broad = is_broad or _is_broad(outline, area)
    return Shape(_around(outlines), largest, is_broad, outlines)


def disagreements(
    shape: Shape, bbox: Sequence[float] | None, area: float | None, size_hw: SizeHW | None
) -> Iterator[str]:
    """Yield sentences that say how a stated box and area contradict the mask.

    A box contradicts the mask if an edge is off by more than both `PIXELS` and `SHARE`, after both
    boxes are clipped to the image. An area contradicts it if it is less than half of the mask's,
    and all of the mask is in the image; or if it is more than 1.1 times that of the mask's box
    enlarged by 1 pixel on each side.

    Args:
        shape: of the mask.
        bbox: x, y, width, height of finite numbers, or None.
        area: a finite number, or None.
        size_hw: height and width of the image, if they are known.
    """
    if bbox is not None and not box_agrees(xyxy(bbox), shape.box, size_hw):
        x0, y0, x1, y1 = shape.box
        around = [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
        reason = f"bbox {list(bbox)} is not the box of its segmentation, which is {around}"
        yield reason + likely(bbox, shape, size_hw)
    if area is not None and not area_agrees(area, shape, size_hw):
        yield _area_reason(area, shape, size_hw)


def box_agrees(stated: Box, box: Box, size_hw: SizeHW | None = None) -> bool:
    """Tell whether each edge of a stated box x0, y0, x1, y1 is close to the mask's box."""
    if size_hw is not None:
        stated, box = _inside(stated, size_hw), _inside(box, size_hw)
    x0, y0, x1, y1 = box
    x = max(PIXELS, SHARE * (x1 - x0))
    y = max(PIXELS, SHARE * (y1 - y0))
    return (
        abs(stated[0] - x0) <= x
        and abs(stated[1] - y0) <= y
        and abs(stated[2] - x1) <= x
        and abs(stated[3] - y1) <= y
    )


def area_agrees(area: float, shape: Shape, size_hw: SizeHW | None = None) -> bool:
    """Tell whether an area may be that of the mask, of its part inside the image, or of its box."""
    x0, y0, x1, y1 = shape.box
    if area > 1.1 * (x1 - x0 + 2) * (y1 - y0 + 2):
        return False
    if area >= 0.5 * shape.area or shape.area - area <= PIXELS:
        return True
    return size_hw is not None and area > 0 and _inside(shape.box, size_hw) != shape.box


def xyxy(bbox: Sequence[float]) -> Box:
    """Return x0, y0, x1, y1 of x, y, width, height."""
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _corners(b: Sequence[float], _size_hw: SizeHW) -> Box:
    return b[0], b[1], b[2], b[3]


def _centre(b: Sequence[float], _size_hw: SizeHW) -> Box:
    return b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2


def _swapped(b: Sequence[float]) -> Sequence[float]:
    return b[1], b[0], b[3], b[2]


def _scaled(b: Sequence[float], size_hw: SizeHW, by: float = 1.0) -> Sequence[float]:
    height, width = size_hw
    return b[0] * width / by, b[1] * height / by, b[2] * width / by, b[3] * height / by


_MEANINGS: Final[Mapping[str, Callable[[Sequence[float], SizeHW], Box]]] = MappingProxyType(
    {
        "x1, y1, x2, y2": _corners,
        "centre x, centre y, width, height": _centre,
        "y, x, height, width": lambda b, _size: xyxy(_swapped(b)),
        "y1, x1, y2, x2": lambda b, size: _corners(_swapped(b), size),
        "shares of 1": lambda b, size: xyxy(_scaled(b, size)),
        "x1, y1, x2, y2 as shares of 1": lambda b, size: _corners(_scaled(b, size), size),
        "centre and size as shares of 1": lambda b, size: _centre(_scaled(b, size), size),
        "percentages": lambda b, size: xyxy(_scaled(b, size, 100)),
    }
)


def likely(bbox: Sequence[float], shape: Shape, size_hw: SizeHW | None) -> str:
    """Return what a wrong box looks like, as the end of a sentence; "" if nothing is recognised."""
    box = shape.box
    for meaning, read in _MEANINGS.items():
        most = 1.01 if "of 1" in meaning else 101 if meaning == "percentages" else np.inf
        if max(bbox) <= most and box_agrees(read(bbox, size_hw or (0, 0)), box, size_hw):
            return f"; bbox looks like {meaning}"
    if shape.runs is not None and size_hw is not None:
        by_rows = _box_of_runs(shape.runs, (size_hw[1], size_hw[0]))
        if box_agrees(xyxy(_swapped(bbox)), by_rows):
            return "; the run lengths look like rows, but COCO's go down the columns"
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    scale = max(bbox[2], bbox[3]) / side if side else 1.0
    if scale > 0 and box_agrees(xyxy([value / scale for value in bbox]), box):
        return f"; bbox looks like that of an image {scale:.3g} times as large"
    return ""


def _area_reason(area: float, shape: Shape, size_hw: SizeHW | None) -> str:
    x0, y0, x1, y1 = shape.box
    reason = (
        f"area {area:g} is not that of its segmentation, about {shape.area:g} "
        f"in a box of {(x1 - x0) * (y1 - y0):g}"
    )
    if size_hw is not None and 0 < area <= 1 and area_agrees(area * size_hw[0] * size_hw[1], shape):
        reason += "; area looks like a share of 1"
    return reason


def _inside(box: Box, size_hw: SizeHW) -> Box:
    height, width = size_hw
    x0, y0, x1, y1 = box
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return box
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _around(outlines: list[Outline]) -> Box:
    if len(outlines) == 1:
        return outlines[0][1:]
    return (
        min(outline.x0 for outline in outlines),
        min(outline.y0 for outline in outlines),
        max(outline.x1 for outline in outlines),
        max(outline.y1 for outline in outlines),
    )


def _shoelace(numbers: list[float]) -> float:
    """Return a polygon's area. For a few dozen points, plain Python is faster than NumPy."""
    xs, ys = numbers[::2], numbers[1::2]
    forth = sum(map(mul, xs, ys[1:])) + xs[-1] * ys[0]
    back = sum(map(mul, ys, xs[1:])) + ys[-1] * xs[0]
    return float(abs(forth - back) / 2)


def _is_broad(outline: Outline, area: float) -> bool:
    # no side is longer than two sides of the box around the polygon
    around = outline.x1 - outline.x0 + outline.y1 - outline.y0
    if area >= len(outline.numbers) / 2 * around > 0:
        return True
    return area >= _length(outline.numbers) > 0


def _length(numbers: list[float]) -> float:
    xs, ys = numbers[::2], numbers[1::2]
    sides = map(hypot, map(sub, xs, xs[1:] + xs[:1]), map(sub, ys, ys[1:] + ys[:1]))
    return float(sum(sides))


def _stated_size(rle: Mapping[str, Any]) -> SizeHW:
    size = rle.get("size")
    if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
        raise ValueError(f"RLE size must be [height, width], got {reprlib.repr(size)}")
    return size[0], size[1]


def _shape_of_runs(runs: RunLengths, size_hw: SizeHW) -> Shape | None:
    area = float(runs[1::2].sum())
    return Shape(_box_of_runs(runs, size_hw), area, True, [], runs) if area else None


def _box_of_runs(runs: RunLengths, size_hw: SizeHW) -> Box:
    """Return the tight box of run lengths that have a pixel; runs go down the columns."""
    height = size_hw[0]
    ends = np.cumsum(runs)
    starts, stops = ends[:-1:2], ends[1::2]  # of the runs inside the mask
    there = stops > starts
    starts, last = starts[there], stops[there] - 1
    x0, x1 = int(starts[0]) // height, int(last[-1]) // height + 1
    if (starts // height != last // height).any():
        return x0, 0, x1, height
    return x0, int((starts % height).min()), x1, int((last % height).max()) + 1
