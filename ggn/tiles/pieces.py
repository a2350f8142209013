"""The piece of an object in one tile, and the object that the pieces of a level form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import RLE, decode, encode, from_runs
from ggn.core.windows import Window, window_of
from ggn.tiles.plan import Tile


@dataclass(frozen=True, eq=False)
class Piece:
    """An instance found in a tile, in pixels of its level."""

    tile: int
    """Index of the tile."""
    corner_xy: tuple[int, int]
    """Corner of the tile."""
    mask: RLE
    """It has the tile's size."""
    score: float
    box: Tile
    """Tight box in the level."""

    @property
    def window(self) -> Window:
        """The mask, placed in the level."""
        found = window_of(self.mask)
        return Window(found.left + self.corner_xy[0], found.top + self.corner_xy[1], found.bitmap)


@dataclass(frozen=True, eq=False)
class Whole:
    """An object joined from the pieces of one level."""

    level: int
    """0 is full size; a pixel of level k is 2^k pixels wide."""
    corner_xy: tuple[int, int]
    """Corner of its window, in pixels of its level."""
    window_mask: RLE
    """It has the window's size. Run lengths take a hundredth of a bitmap's memory."""
    score: float
    """The best score of its pieces."""
    is_cut: bool
    """Whether it is cut off at the border of a tile, and no other tile shows the rest."""

    @classmethod
    def of(cls, level: int, window: Window, score: float, is_cut: bool) -> Self:
        """Return an object from a mask in pixels of its level."""
        (mask,) = encode(window.bitmap[None])
        return cls(level, (window.left, window.top), mask, score, is_cut)

    @property
    def window(self) -> Window:
        """The mask, in pixels of its level."""
        height, width = self.window_mask["size"]
        bitmap = decode([self.window_mask], (height, width))[0].astype(bool)
        return Window(*self.corner_xy, bitmap)

    @cached_property
    def box(self) -> Tile:
        """Tight box in pixels of the image."""
        (left, top), (height, width) = self.corner_xy, self.window_mask["size"]
        return Tile(*(side << self.level for side in (left, top, left + width, top + height)))

    @property
    def length(self) -> int:
        """The longer side of the box, in pixels of the image."""
        return max(self.box.right - self.box.left, self.box.bottom - self.box.top)

    def at_level(self, level: int) -> Window:
        """Return the mask at a coarser level: each of its pixels takes the one in its middle."""
        factor = 1 << (level - self.level)
        left, top, bitmap = self.window
        columns = _middles(left, bitmap.shape[1], factor)
        rows = _middles(top, bitmap.shape[0], factor)
        if not len(rows) or not len(columns):
            return Window(left // factor, top // factor, np.zeros((0, 0), bool))
        chosen = bitmap[np.ix_(rows - top, columns - left)]
        return Window(int(columns[0]) // factor, int(rows[0]) // factor, chosen)

    def mask(self, size_hw: tuple[int, int]) -> RLE:
        """Return the mask in an image of (height, width)."""
        counts = enlarged_run_lengths(self.window, 1 << self.level, size_hw)
        return from_runs(counts, size_hw)


def _middles(start: int, length: int, factor: int) -> NDArray[np.int64]:
    """Return the middle of each run of `factor` pixels, if it is in [start, start + length)."""
    middles = np.arange(start // factor, (start + length) // factor + 1) * factor + factor // 2
    return middles[(middles >= start) & (middles < start + length)]


def enlarged_run_lengths(window: Window, factor: int, size_hw: tuple[int, int]) -> list[int]:
    """Return COCO's run lengths of a window whose pixels are `factor` wide and high.

    What lies beyond the image is cut off. Memory depends on the number of runs.
    """
    height, width = size_hw
    columns = np.zeros((window.bitmap.shape[1], window.bitmap.shape[0] + 2), np.int8)
    columns[:, 1:-1] = window.bitmap.T
    steps = np.diff(columns, axis=1)
    (column, start), (_, end) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    each = ((column + window.left) * factor)[:, None] + np.arange(factor)
    first = each * height + np.minimum((start + window.top) * factor, height)[:, None]
    last = each * height + np.minimum((end + window.top) * factor, height)[:, None]
    first, last, inside = first.ravel(), last.ravel(), (each < width).ravel()
    order = np.argsort(first[inside], kind="stable")
    first, last = first[inside][order], last[inside][order]
    apart = first[1:] != last[:-1]  # a run that ends with its column may continue in the next
    bounds = np.stack([first[np.r_[True, apart]], last[np.r_[apart, True]]], axis=1).ravel()
    counts: list[int] = np.diff([0, *bounds.tolist(), height * width]).tolist()
    return counts if counts[-1] else counts[:-1]


def place_of(window: Window) -> Tile:
    """Return the rectangle that a window covers."""
    height, width = window.bitmap.shape
    return Tile(window.left, window.top, window.left + width, window.top + height)


def drawn(window: Window, area: Tile) -> NDArray[np.bool_]:
    """Return the part of a window that lies in an area, as a bitmap of that area."""
    own = place_of(window)
    shared = own.shared(area)
    canvas = np.zeros((area.bottom - area.top, area.right - area.left), bool)
    if not shared.is_empty:
        target = shared.moved(-area.left, -area.top)
        target.of(canvas)[:] = shared.moved(-own.left, -own.top).of(window.bitmap)
    return canvas


def bounds(boxes: Sequence[Tile]) -> Tile:
    """Return the smallest rectangle that contains all boxes."""
    return Tile(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )
