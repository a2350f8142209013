"""The pieces of an object in neighbouring tiles become one object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ggn.core.masks import RLE, encode, mask_iou
from ggn.core.windows import Window
from ggn.tiles.pieces import Piece, Whole, bounds, drawn
from ggn.tiles.plan import Tile, cores

SAME_IOU = 0.5
"""From which IoU on, within what two tiles share, two pieces are of one object."""
NEAR = 64
"""Nearer to a tile's edge than 1/64 of its length, a piece is taken to reach it: predicted masks
often end a little before."""


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
    pairs = [
        pair
        for a, b in _neighbours(tiles)
        if of_tile[a] and of_tile[b]
        for pair in _same(pieces, of_tile[a], of_tile[b], tiles[a].shared(tiles[b]))
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
            any(_goes_on(part, parts, tiles, size_hw) for part in parts),
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
    pieces: Sequence[Piece], first: list[int], second: list[int], shared: Tile
) -> list[tuple[int, int]]:
    """Pairs of pieces, one of each of two tiles, that agree in what the tiles share."""
    first, second = (
        [index for index in side if not pieces[index].box.shared(shared).is_empty]
        for side in (first, second)
    )
    if not first or not second:
        return []
    iou = mask_iou(_crops(pieces, first, shared), _crops(pieces, second, shared))
    found = []
    for place in np.argsort(-iou, axis=None, kind="stable"):
        row, column = divmod(int(place), iou.shape[1])
        if iou[row, column] >= SAME_IOU:  # one that is taken has been set to 0
            found.append((first[row], second[column]))
            iou[row], iou[:, column] = 0, 0
        elif iou.max() < SAME_IOU:
            break
    return found


def _crops(pieces: Sequence[Piece], chosen: list[int], area: Tile) -> list[RLE]:
    return encode(np.stack([drawn(pieces[index].window, area) for index in chosen]))


def _assembled(parts: Sequence[Piece], own: Sequence[Tile]) -> Window:
    if len(parts) == 1:
        return parts[0].window
    area = bounds([part.box for part in parts])
    canvas = np.zeros((area.bottom - area.top, area.right - area.left), bool)
    for part in parts:
        bitmap = drawn(part.window, area)
        for other in parts:
            core = own[other.tile].shared(area)
            if other.tile != part.tile and not core.is_empty:
                core.moved(-area.left, -area.top).of(bitmap)[:] = False
        canvas |= bitmap
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    if not len(rows):  # the pieces only agree beyond their own parts
        return parts[0].window
    tight = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Window(area.left + int(columns[0]), area.top + int(rows[0]), tight)


def _goes_on(
    part: Piece, parts: Sequence[Piece], tiles: Sequence[Tile], size_hw: tuple[int, int]
) -> bool:
    """Whether a piece reaches an edge of its tile beyond which no other tile shows the object."""
    tile, box = tiles[part.tile], part.box
    near_x, near_y = (tile.right - tile.left) // NEAR, (tile.bottom - tile.top) // NEAR
    others = [tiles[other.tile] for other in parts if other.tile != part.tile]
    height, width = size_hw
    return (
        (0 < tile.left >= box.left - near_x and not any(o.left < tile.left for o in others))
        or (0 < tile.top >= box.top - near_y and not any(o.top < tile.top for o in others))
        or (
            width > tile.right <= box.right + near_x
            and not any(o.right > tile.right for o in others)
        )
        or (
            height > tile.bottom <= box.bottom + near_y
            and not any(o.bottom > tile.bottom for o in others)
        )
    )
