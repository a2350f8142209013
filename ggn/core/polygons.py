"""Turns a mask into polygons along its pixel edges; drawn, they give exactly that mask."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.int64]


def polygons(bitmap: ArrayLike) -> list[Points]:
    """Return a polygon for each part of a bitmap (H, W); nonzero pixels are inside.

    Parts are 4-connected: pixels that only touch at a corner are two parts. A polygon is int64
    (P, 2): pixel corners (x, y), clockwise on the screen, from the leftmost of the uppermost ones.
    A hole is joined to the outline around it by a slit of zero width, because COCO's polygons have
    no holes.
    """
    inside = np.pad(np.asarray(bitmap) != 0, 1)
    corners, below = _corners(inside)
    places = corners @ [1, inside.shape[1]]
    owner = np.full(len(corners), -1)
    parts: list[Points] = []
    for first in range(0, len(corners), 2):
        if owner[first] >= 0:
            continue
        ring = _ring(first, below)
        x, y = corners[first]
        if inside[y + 1, x + 1]:
            owner[ring] = len(parts)
            parts.append(corners[ring])
            continue
        top = y - int(np.argmin(inside[y::-1, x + 1]))  # of the pixels above the hole
        edge = np.searchsorted(places, x + top * inside.shape[1], side="right") - 1
        owner[ring] = owner[edge]
        hole = corners[[first, *ring[:0:-1], first]]
        parts[owner[edge]] = _with_hole(parts[owner[edge]], hole, top)
    return parts


def _corners(inside: NDArray[np.bool_]) -> tuple[Points, list[int]]:
    """Return corners (x, y) row by row, and the index that each is joined to by a vertical edge.

    A horizontal edge joins the corners 2k and 2k + 1. A corner at which two pixels touch is listed
    twice: first as the end of the edge on its left, then as the start of the edge on its right.
    """
    upper_left, upper_right = inside[:-1, :-1], inside[:-1, 1:]
    lower_left, lower_right = inside[1:, :-1], inside[1:, 1:]
    touching = (upper_left == lower_right) & (upper_right == lower_left)
    touching &= upper_left != upper_right
    times = (upper_left ^ upper_right ^ lower_left ^ lower_right).astype(np.int64) + 2 * touching
    y, x = np.nonzero(times)
    again = times[y, x]
    y, x = np.repeat(y, again), np.repeat(x, again)
    second = np.zeros(len(x), dtype=bool)
    second[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    lower = second ^ (touching[y, x] & upper_right[y, x])  # of the two at one place
    order = np.lexsort((lower, y, x))
    joined = np.empty(len(x), dtype=np.int64)
    joined[order[::2]], joined[order[1::2]] = order[1::2], order[::2]
    return np.stack([x, y], axis=1), joined.tolist()


def _ring(first: int, below: list[int]) -> list[int]:
    """Return the corners of a closed outline, starting along the first one's horizontal edge."""
    ring = [first]
    while True:
        ring.append(ring[-1] ^ 1)
        following = below[ring[-1]]
        if following == first:
            return ring
        ring.append(following)


def _with_hole(outline: Points, hole: Points, top: int) -> Points:
    """Return the outline with a slit from its horizontal edge at `top` to the hole and back."""
    x = hole[0, 0]
    ends = np.stack([outline, np.roll(outline, -1, axis=0)])
    across = (ends[..., 1] == top).all(axis=0)
    across &= (ends[..., 0].min(axis=0) <= x) & (x < ends[..., 0].max(axis=0))
    at = int(np.flatnonzero(across)[0]) + 1
    slit = np.array([[x, top]])
    joined = np.concatenate([outline[:at], slit, hole, slit, outline[at:]])
    kept = np.ones(len(joined), dtype=bool)
    kept[1:] = (joined[1:] != joined[:-1]).any(axis=1)  # the slit may start at a corner
    return joined[kept]
