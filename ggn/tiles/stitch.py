"""The pieces of an object in neighbouring tiles become one object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ggn.core.windows import Window
from ggn.tiles.near import Near
from ggn.tiles.pieces import Piece, Whole, bounds, place_of
from ggn.tiles.plan import Tile, cores

STITCH_IOU = 0.5
"""From which IoU on, within what two tiles share, two pieces are of one object."""
NEAR = 64
"""Nearer to a tile's edge than 1/64 of its length, a piece is taken to reach it: predicted masks
often end a little before."""
WINDOWS_OF_TILES = 8
"""Tiles whose pieces are held decoded: a tile, its neighbours to the right and below, and a few."""


def stitch(
    pieces: Sequence[Piece], tiles: Sequence[Tile], size_hw: tuple[int, int], level: int
) -> list[Whole]:
    """Return the objects of a level, in the order of their first pieces.

    Pieces of two tiles are joined if they agree in what the tiles share, each with one at most, the
    best first. Of the pieces of an object, each shows the part that is nearer to the middle of its
    tile; beyond the tiles that have a piece of it, any of them does.

    Args:
        pieces: of all tiles, tile by tile.
        tiles: of `plan_tiles`.
        size_hw: of the level.
        level: its number.
    """
    of_tile: dict[int, list[int]] = defaultdict(list)
    for index, piece in enumerate(pieces):
        of_tile[piece.tile].append(index)
    windows = lru_cache(WINDOWS_OF_TILES)(
        lambda tile: {index: pieces[index].window for index in of_tile[tile]}
    )
    pairs = [
        pair
        for a, b in _neighbours(tiles)
        if of_tile[a] and of_tile[b]
        for pair in _same(windows(a), windows(b), tiles[a].shared(tiles[b]))
    ]
    links = np.array(pairs, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(links)), links.T), shape=(len(pieces), len(pieces)))
    _, labels = connected_components(graph, directed=False) if pieces else (0, np.zeros(0, int))
    members: dict[int, list[Piece]] = defaultdict(list)
    for piece, label in zip(pieces, labels.tolist(), strict=True):
        members[label].append(piece)
    own = cores(tiles)
    return [
        Whole.of(
            level,
            _assembled(parts, own),
            max(part.score for part in parts),
            _is_cut(parts, tiles, size_hw),
        )
        for parts in members.values()
    ]


def _neighbours(tiles: Sequence[Tile]) -> Iterator[tuple[int, int]]:
    """Pairs of tiles that share pixels and stand next to each other, or corner to corner."""
    columns = {left: i for i, left in enumerate(sorted({tile.left for tile in tiles}))}
    rows = {top: i for i, top in enumerate(sorted({tile.top for tile in tiles}))}
    for index, tile in enumerate(tiles):
        x, y = columns[tile.left], rows[tile.top]
        for dx, dy in ((1, 0), (-1, 1), (0, 1), (1, 1)):
            if 0 <= x + dx < len(columns) and y + dy < len(rows):
                other = index + dy * len(columns) + dx
                if not tile.shared(tiles[other]).is_empty:
                    yield index, other


def _same(
    first: dict[int, Window], second: dict[int, Window], shared: Tile
) -> list[tuple[int, int]]:
    """Pairs of pieces, one of each of two tiles, that agree in what the tiles share.

    Args:
        first: windows of the pieces of a tile, by index.
        second: of the other tile.
        shared: by the tiles.
    """
    one, other = (_crops(windows, shared) for windows in (first, second))
    iou = np.zeros((len(one), len(other)))
    if not iou.size:
        return []
    for row, column in np.argwhere(_may_agree(one, other)).tolist():
        iou[row, column] = _iou(one[row][1], other[column][1])
    found = []
    for place in np.argsort(-iou, axis=None, kind="stable"):
        row, column = divmod(int(place), iou.shape[1])
        if iou[row, column] >= STITCH_IOU:  # one that is taken has been set to 0
            found.append((one[row][0], other[column][0]))
            iou[row], iou[:, column] = 0, 0
        elif iou.max() < STITCH_IOU:
            break
    return found


Crop = tuple[int, Window, int]
"""Index of a piece, what an area holds of it, and how many pixels that is."""


def _crops(windows: dict[int, Window], area: Tile) -> list[Crop]:
    """Return the part of each piece that lies in an area; pieces outside it are left out."""
    found = []
    for index, window in windows.items():
        own = place_of(window)
        part = own.shared(area)
        if part.is_empty:
            continue
        bitmap = part.moved(-own.left, -own.top).of(window.bitmap)
        pixels = int(np.count_nonzero(bitmap))
        if pixels:
            found.append((index, Window(part.left, part.top, bitmap), pixels))
    return found


def _may_agree(one: Sequence[Crop], other: Sequence[Crop]) -> NDArray[np.bool_]:
    """Whether the boxes of pairs share enough pixels for `STITCH_IOU`."""
    a, b = (np.array([place_of(crop[1]) for crop in side])[:, None] for side in (one, other))
    b = b.swapaxes(0, 1)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    most = sides.clip(0).prod(axis=-1)
    pixels = np.maximum.outer([crop[2] for crop in one], [crop[2] for crop in other])
    agree: NDArray[np.bool_] = most >= STITCH_IOU * pixels
    return agree


def _iou(one: Window, other: Window) -> float:
    place, second = place_of(one), place_of(other)
    common = place.shared(second)
    a = common.moved(-place.left, -place.top).of(one.bitmap)
    b = common.moved(-second.left, -second.top).of(other.bitmap)
    shared = int(np.count_nonzero(a & b))
    total = int(np.count_nonzero(one.bitmap)) + int(np.count_nonzero(other.bitmap))
    return shared / (total - shared)


def _assembled(parts: Sequence[Piece], own: Sequence[Tile]) -> Window:
    if len(parts) == 1:
        return parts[0].window
    area = bounds([part.box for part in parts])
    canvas = np.zeros((area.bottom - area.top, area.right - area.left), bool)
    numbers = sorted({part.tile for part in parts})
    owned = Near(max(own[0].right, own[0].bottom), [own[number] for number in numbers])
    for part in parts:
        bitmap = part.window.bitmap.copy()
        for index in owned.meeting(part.box):
            if numbers[index] != part.tile:
                core = own[numbers[index]].shared(part.box)
                core.moved(-part.box.left, -part.box.top).of(bitmap)[:] = False
        part.box.moved(-area.left, -area.top).of(canvas)[:] |= bitmap
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    if not len(rows):  # the pieces only agree beyond their own parts
        return parts[0].window
    tight = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Window(area.left + int(columns[0]), area.top + int(rows[0]), tight)


def _is_cut(parts: Sequence[Piece], tiles: Sequence[Tile], size_hw: tuple[int, int]) -> bool:
    """Whether a piece reaches an edge of its tile beyond which no other tile shows the object."""
    height, width = size_hw
    shown = bounds([tiles[part.tile] for part in parts])
    for part in parts:
        tile, box = tiles[part.tile], part.box
        near_x, near_y = (tile.right - tile.left) // NEAR, (tile.bottom - tile.top) // NEAR
        if (
            (shown.left == tile.left > 0 and tile.left >= box.left - near_x)
            or (shown.top == tile.top > 0 and tile.top >= box.top - near_y)
            or (shown.right == tile.right < width and tile.right <= box.right + near_x)
            or (shown.bottom == tile.bottom < height and tile.bottom <= box.bottom + near_y)
        ):
            return True
    return False
