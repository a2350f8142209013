"""A mask as one polygon through the centres of its outermost pixels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ggn.core.windows import Window

_RIGHT, _DOWN, _LEFT, _UP = range(4)


@dataclass
class _Ring:
    """The pixels along one closed edge of a mask, with the mask on the right hand."""

    pixels: list[int]
    is_hole: bool
    above: int
    """Index in `pixels` of one above the edge; for a hole, of one above its uppermost pixels."""


def outline(window: Window) -> NDArray[np.int64]:
    """Return a polygon (P, 2), x and y of pixels, P ≥ 3, such that filling it draws the mask.

    Filling means what OpenCV's `fillPoly` does: it fills the inside and draws the outline. A hole
    is joined to the outline by a line within the mask, which the polygon follows there and back.
    Parts that touch at a corner or not at all are joined in the same way, by the shortest line
    between their corners. Only the pixels of such a line may lie outside the mask.

    Raises:
        ValueError: the mask has no pixel.
    """
    if not window.bitmap.any():
        raise ValueError("an empty mask has no outline")
    inside = np.pad(window.bitmap, 1)
    rings, tops = _rings(inside)
    holes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, ring in enumerate(rings):
        if ring.is_hole:
            holes[_over(ring, inside, tops)].append(index)
    parts = [
        _corners(_with_holes(index, rings, holes), inside.shape[1])
        for index, ring in enumerate(rings)
        if not ring.is_hole
    ]
    corner = np.array([window.left - 1, window.top - 1])
    points = _joined(parts) + corner
    return np.asarray(points if len(points) >= 3 else np.repeat(points, 3, axis=0))


def _rings(inside: NDArray[np.bool_]) -> tuple[list[_Ring], dict[int, tuple[int, int]]]:
    """Return all rings, and for each pixel below an edge its ring and its index there.

    Pixels are numbered row by row. Pixels that only touch at a corner are not joined.
    """
    flat, width = inside.tobytes(), inside.shape[1]
    steps = (1, width, -1, -width)
    rings: list[_Ring] = []
    tops: dict[int, tuple[int, int]] = {}
    below_edge = inside.copy()
    below_edge[1:] &= ~inside[:-1]
    for start in np.flatnonzero(below_edge).tolist():
        if start in tops:
            continue
        pixels: list[int] = []
        pixel, way, area, above = start, _RIGHT, 0, -1
        while not pixels or (pixel, way) != (start, _RIGHT):
            if way == _RIGHT:
                tops[pixel] = (len(rings), len(pixels))
                area -= pixel // width
            elif way == _LEFT:
                area += pixel // width + 1
                if above < 0 or pixel < pixels[above]:
                    above = len(pixels)
            pixels.append(pixel)
            ahead = pixel + steps[way]
            if not flat[ahead]:
                way = (way + 1) % 4
            elif flat[ahead + steps[way - 1]]:
                pixel, way = ahead + steps[way - 1], (way - 1) % 4
            else:
                pixel = ahead
        rings.append(_Ring(pixels, area < 0, above))
    return rings, tops


def _over(
    hole: _Ring, inside: NDArray[np.bool_], tops: dict[int, tuple[int, int]]
) -> tuple[int, int]:
    """Return the ring, and the index there, that lies above a hole."""
    pixel, width = hole.pixels[hole.above], inside.shape[1]
    while pixel not in tops:
        pixel -= width
    return tops[pixel]


def _with_holes(
    index: int, rings: list[_Ring], holes: dict[tuple[int, int], list[int]], start: int = 0
) -> list[int]:
    """Return the pixels of a ring from `start` on, with a detour to each hole joined to it."""
    pixels, walk = rings[index].pixels, []
    for place in (*range(start, len(pixels)), *range(start)):
        walk.append(pixels[place])
        for hole in holes.get((index, place), ()):
            walk += [*_with_holes(hole, rings, holes, rings[hole].above), pixels[place]]
    return [*walk, pixels[start]]


def _corners(walk: list[int], width: int) -> NDArray[np.int64]:
    """Return the points (x, y) at which a closed walk turns."""
    rows, columns = np.divmod(np.array(walk), width)
    points = np.stack([columns, rows], axis=1)
    kept = np.ones(len(points), dtype=bool)
    kept[1:] = (points[1:] != points[:-1]).any(axis=1)
    points = points[kept]
    if len(points) > 2:
        before, after = np.diff(points[:-1], axis=0), np.diff(points[1:], axis=0)
        lengths = (
            np.abs(before).max(axis=1, keepdims=True),
            np.abs(after).max(axis=1, keepdims=True),
        )
        turns = (before / lengths[0] != after / lengths[1]).any(axis=1)
        points = points[[True, *turns.tolist(), True]]
    return points


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join closed walks along the parts to a single closed walk."""
    whole = parts[0]
    for part in parts[1:]:
        distances, nearest = KDTree(whole).query(part)
        at = int(distances.argmin())
        place = int(nearest[at])
        turned = [part[at:], part[1 : at + 1]]
        whole = np.concatenate([whole[: place + 1], *turned, whole[place:]])
    return whole
