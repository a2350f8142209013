"""The positions of tiles, and the sizes at which an image is processed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ggn.core.allocation import Allocate


class Tile(NamedTuple):
    """A rectangle of whole pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of an image (H, W, …) in the tile, a view."""
        return image[self.top : self.bottom, self.left : self.right]

    def shared(self, other: Tile) -> Tile:
        """Return the intersection; it may be empty (`is_empty`)."""
        return Tile(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def moved(self, x: int, y: int) -> Self:
        """Return the rectangle moved."""
        return type(self)(self.left + x, self.top + y, self.right + x, self.bottom + y)

    @property
    def area(self) -> int:
        """Number of pixels, if the rectangle is not empty."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixels."""
        return self.right <= self.left or self.bottom <= self.top


def plan_tiles(size_hw: tuple[int, int], side: int, overlap: int) -> list[Tile]:
    """Return tiles, row by row, that cover an image; neighbours share at least `overlap` pixels.

    Tiles are squares of `side`, or as wide or high as the image where that is less; the last of a
    row or column ends at the frame.

    Raises:
        ValueError: the overlap is not less than half the side.
    """
    if not 0 <= overlap <= side // 2:
        raise ValueError(f"tiles of {side} pixels must overlap by 0 to {side // 2}, got {overlap}")
    columns, rows = (_starts(length, side, overlap) for length in reversed(size_hw))
    high, wide = (min(length, side) for length in size_hw)
    return [Tile(x, y, x + wide, y + high) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(index * (length - side) / (count - 1)) for index in range(count)]


def cores(tiles: Sequence[Tile]) -> list[Tile]:
    """Return the part of each tile that no other has: overlaps are cut in the middle."""
    columns = _cuts(sorted({(tile.left, tile.right) for tile in tiles}))
    rows = _cuts(sorted({(tile.top, tile.bottom) for tile in tiles}))
    return [
        Tile(columns[t.left][0], rows[t.top][0], columns[t.left][1], rows[t.top][1]) for t in tiles
    ]


def _cuts(spans: list[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The own part of each span, by its start."""
    between = [(start + end) // 2 for (_, end), (start, _) in pairwise(spans)]
    edges = [spans[0][0], *between, spans[-1][1]]
    return {start: edge for (start, _), edge in zip(spans, pairwise(edges), strict=True)}


def pyramid(
    image: NDArray[np.uint8], side: int, allocate: Allocate = np.empty
) -> list[NDArray[np.uint8]]:
    """Return an image (H, W, 3) at full, half, quarter, … size, down to what fits into `side`.

    A pixel of a level is the mean of 2×2 of the one before; at odd sizes the last row or column
    counts twice. All levels together take a third more memory than the image;
    `allocate` says where.
    """
    levels = [image]
    while max(levels[-1].shape[:2]) > side:
        levels.append(_halved(levels[-1], allocate))
    return levels


_ROWS_AT_ONCE = 512


def _halved(image: NDArray[np.uint8], allocate: Allocate) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    half = allocate(((height + 1) // 2, (width + 1) // 2, *image.shape[2:]), np.uint8)
    for top in range(0, half.shape[0], _ROWS_AT_ONCE):
        rows = image[2 * top : 2 * (top + _ROWS_AT_ONCE)].astype(np.uint16)
        odd = rows.shape[0] % 2, rows.shape[1] % 2
        rows = np.pad(rows, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        total = rows[::2, ::2] + rows[1::2, ::2] + rows[::2, 1::2] + rows[1::2, 1::2]
        half[top : top + _ROWS_AT_ONCE] = (total + 2) // 4
    return half
