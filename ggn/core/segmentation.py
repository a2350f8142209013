"""Reads a COCO `segmentation` without trusting it: polygons, run lengths, or an error.

On malformed input, pycocotools reads out of bounds or allocates without limit. Therefore it only
gets input that was checked here.
"""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Polygons = list[NDArray[np.float64]]
RunLengths = NDArray[np.int64]

TOLERANCE_PIXELS: Final = 1.0
"""How far a vertex or a box may lie outside its image: tools round, and some place the border up to
a pixel beyond the centre of the last pixel."""

SCRAPS: Final = "polygons of one or two points beside others, left out"
OUTSIDE: Final = "polygons that reach outside their image, cut off at its border"

_CHARACTERS_PER_RUN: Final = 7  # of 5 bits each: enough for any 32-bit run length


class Outline(NamedTuple):
    """A polygon of at least three points, and the box around it."""

    numbers: list[float]
    """x1, y1, x2, y2, …"""
    x0: float
    y0: float
    x1: float
    y1: float

    def reaches_outside(self, size_hw: tuple[int, int]) -> bool:
        """Whether it leaves its image by more than `TOLERANCE_PIXELS`."""
        return (
            self.x0 < -TOLERANCE_PIXELS
            or self.y0 < -TOLERANCE_PIXELS
            or self.x1 > size_hw[1] + TOLERANCE_PIXELS
            or self.y1 > size_hw[0] + TOLERANCE_PIXELS
        )


def parse_segmentation(
    segmentation: Any, size_hw: tuple[int, int], mended: list[str] | None = None
) -> Polygons | RunLengths:
    """Return the polygons or the run lengths of a COCO segmentation in any of its forms.

    Args:
        segmentation: a list of polygons `[x1, y1, x2, y2, …]`, or `{"size": [H, W], "counts": …}`
            with a list of run lengths (uncompressed) or a string (compressed).
        size_hw: height and width of the image.
        mended: receives `SCRAPS` and `OUTSIDE` when these are mended. None: they are refused.

    Returns:
        Polygons as float64 (points, 2) arrays of (x, y); if mended, clipped where they leave the
        image by more than the sum of its sides. Or int64 run lengths in column-major order,
        background first, that add up to H * W.

    Raises:
        ValueError: the segmentation is anything else; with the reason.
    """
    if isinstance(segmentation, list):
        outlines = parse_polygons(segmentation, size_hw, mended)
        return [_points(outline, size_hw) for outline in outlines]
    if isinstance(segmentation, dict):
        return parse_rle(segmentation, size_hw)
    got = reprlib.repr(segmentation)
    raise ValueError(f"segmentation must be a list of polygons or an RLE object, got {got}")


def parse_polygons(
    segmentation: list[Any], size_hw: tuple[int, int] | None, mended: list[str] | None = None
) -> list[Outline]:
    """Check the polygons of a segmentation as `parse_segmentation` does; return them unclipped.

    Args:
        segmentation: a list of polygons.
        size_hw: height and width of the image; None if they don't matter.
        mended: as in `parse_segmentation`.
    """
    if not segmentation:
        raise ValueError("segmentation is an empty list")
    outlines: list[Outline] = []
    scrap = None
    for index, polygon in enumerate(segmentation):
        numbers = _numbers(polygon, f"polygon {index}")
        if len(numbers) < 6:
            scrap = f"polygon {index} has {len(numbers) // 2} points, but needs at least 3"
            if mended is None:
                raise ValueError(scrap)
            continue
        xs, ys = numbers[::2], numbers[1::2]
        outline = Outline(numbers, min(xs), min(ys), max(xs), max(ys))
        if size_hw is not None and outline.reaches_outside(size_hw):
            if mended is None:
                raise ValueError(f"polygon {index} {_outside(outline, size_hw)}")
            mended.append(OUTSIDE)
        outlines.append(outline)
    if scrap is not None and mended is not None:
        if not outlines:
            raise ValueError(scrap)
        mended.append(SCRAPS)
    return outlines


def is_nothing(segmentation: Any) -> bool:
    """Tell whether a segmentation has no polygon of three points: a mask without a pixel."""
    return isinstance(segmentation, list) and all(
        isinstance(polygon, list) and len(polygon) in (0, 2, 4) for polygon in segmentation
    )


def are_shares(segmentation: Any, size_hw: tuple[int, int]) -> bool:
    """Tell whether valid polygons look like shares of the image's sides instead of pixels.

    All their coordinates are from 0 to 1, some between, in an image of more than 2 x 2 pixels.
    """
    return (
        isinstance(segmentation, list)
        and min(size_hw) > 2
        and all(0 <= value <= 1 for polygon in segmentation for value in polygon)
        and any(0 < value < 1 for polygon in segmentation for value in polygon)
    )


def covers_nothing(segmentation: Any, size_hw: tuple[int, int]) -> str:
    """Return the sentence on a valid segmentation that covers nothing, with the likely reason."""
    if are_shares(segmentation, size_hw):
        return "segmentation looks like shares of 1, but must be in pixels"
    return "segmentation covers no pixel"


def require_numbers(values: Sequence[Any], name: str) -> None:
    """Raise ValueError unless every value is a finite JSON number (not a string or boolean)."""
    try:
        if set(map(type, values)) <= {float, int} and abs(sum(values)) < 1e300:
            return
    except OverflowError:  # an integer too large for a float
        pass
    for value in values:
        if type(value) not in (int, float):
            raise ValueError(f"{name} must have only numbers, got {reprlib.repr(value)}")
        if not abs(value) < 1e300:
            raise ValueError(f"{name} must have only finite numbers, got {reprlib.repr(value)}")


def _numbers(polygon: Any, name: str) -> list[float]:
    if not isinstance(polygon, list):
        raise ValueError(f"{name} must be a list of numbers, got {reprlib.repr(polygon)}")
    require_numbers(polygon, name)
    if len(polygon) % 2:
        raise ValueError(f"{name} has {len(polygon)} numbers, but x and y must come in pairs")
    return polygon


def _outside(outline: Outline, size_hw: tuple[int, int]) -> str:
    points = np.array(outline.numbers, dtype=np.float64).reshape(-1, 2)
    height, width = size_hw
    overshoot = np.maximum(-points, points - (width, height))
    x, y = points[overshoot.max(axis=1).argmax()]
    return f"has the point ({x:g}, {y:g}) outside the image, {width} wide and {height} high"


def _points(outline: Outline, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return the vertices, clipped to a wide frame, so that drawing a huge polygon stays cheap."""
    points = np.array(outline.numbers, dtype=np.float64).reshape(-1, 2)
    if not outline.reaches_outside(size_hw):
        return points
    margin = float(sum(size_hw))
    for axis, side in ((0, size_hw[1]), (1, size_hw[0])):
        points = _cut(points, axis, -margin, 1.0)
        points = _cut(points, axis, side + margin, -1.0)
    # a polygon that lies entirely beyond the frame covers no pixel
    return points if len(points) >= 3 else np.full((3, 2), -margin)


def _cut(points: NDArray[np.float64], axis: int, at: float, sign: float) -> NDArray[np.float64]:
    """Clip a polygon to the side of `at` that `sign` points to (Sutherland and Hodgman)."""
    if not len(points):
        return points
    inside = sign * (points[:, axis] - at) >= 0
    if inside.all():
        return points
    kept = []
    for index, point in enumerate(points):
        before = points[index - 1]
        if inside[index] != inside[index - 1]:
            share = (at - before[axis]) / (point[axis] - before[axis])
            kept.append(before + share * (point - before))
        if inside[index]:
            kept.append(point)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def parse_rle(rle: Mapping[str, Any], size_hw: tuple[int, int]) -> RunLengths:
    """Return the run lengths of an RLE, as `parse_segmentation` does."""
    for key in ("size", "counts"):
        if key not in rle:
            raise ValueError(f"RLE has no key '{key}'")
    size, counts = rle["size"], rle["counts"]
    if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
        raise ValueError(f"RLE size must be [height, width], got {reprlib.repr(size)}")
    if tuple(size) != tuple(size_hw):
        image = f"the image is {size_hw[0]} high and {size_hw[1]} wide"
        raise ValueError(f"RLE size is {list(size)} [height, width], but {image}")
    if isinstance(counts, str | bytes):
        return _checked(_decompress(counts), size_hw)
    if isinstance(counts, list):
        _require_integers(counts)
        return _checked(np.array(counts, dtype=np.int64), size_hw)
    raise ValueError(f"RLE counts must be a string or a list, got {reprlib.repr(counts)}")


def _require_integers(counts: list[Any]) -> None:
    """Raise ValueError unless every run length is an integer that fits into int64."""
    for count in counts:
        if type(count) is not int or abs(count) >= 2**62:
            got = reprlib.repr(count)
            raise ValueError(f"RLE counts must be integers >= 0, got {got}")


def _decompress(counts: str | bytes) -> RunLengths:
    """Decode COCO's string of run lengths.

    A character minus '0' holds 5 bits, lowest first, and a sixth that says whether more follow. The
    highest of the last character's 5 bits is the sign. From the fourth number on, each is the
    difference from the number two places before.
    """
    text = counts if isinstance(counts, str) else counts.decode("latin-1")
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    values = codes.astype(np.int64) - ord("0")
    if values.size == 0:
        raise ValueError("RLE counts is an empty string")
    if values.min() < 0 or values.max() > 63:
        character = text[np.flatnonzero((values < 0) | (values > 63))[0]]
        raise ValueError(f"RLE counts has a character that is not allowed: {character!r}")
    last = np.flatnonzero(values < 32)
    if last.size == 0 or last[-1] != values.size - 1:
        raise ValueError("RLE counts is cut off in the middle of a number")
    first = np.concatenate([[0], last[:-1] + 1])
    characters = last - first + 1
    if characters.max() > _CHARACTERS_PER_RUN:
        raise ValueError("RLE counts has a number longer than any run of pixels")
    shifts = 5 * (np.arange(values.size) - np.repeat(first, characters))
    runs = np.add.reduceat((values & 31) << shifts, first)
    runs -= np.where(values[last] & 16, np.left_shift(1, 5 * characters), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _checked(runs: RunLengths, size_hw: tuple[int, int]) -> RunLengths:
    pixels = size_hw[0] * size_hw[1]
    if runs.size and runs.min() < 0:
        raise ValueError(f"RLE counts must be integers >= 0, got a run of {runs.min()}")
    if runs.size and runs.max() > pixels:
        raise ValueError(f"RLE has a run of {runs.max()} pixels, but the image has only {pixels}")
    if runs.sum() != pixels:
        raise ValueError(f"RLE counts add up to {runs.sum()} pixels, but the image has {pixels}")
    return runs
