"""Finds the instances of a large image in tiles at every level, and joins them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.core.masks import boxes_xyxy
from ggn.core.windows import Window
from ggn.tiles.near import Near
from ggn.tiles.pieces import Piece, Whole, bounds, drawn, place_of
from ggn.tiles.plan import Tile, plan_tiles
from ggn.tiles.stitch import STITCH_IOU, stitch

NEAR_BOX = 0.25
"""Share of an object's box that another's box must cover before their masks are compared."""
COVERED = 0.5
"""From this share on, a cut-off piece counts as part of the larger object that covers it."""

THIN = 4
"""Objects fewer pixels wide, at their level, need only half of `STITCH_IOU` to be the same."""

FindInTiles = Callable[[Sequence[NDArray[Any]]], Sequence[Instances]]
"""Finds the instances of some tiles, each (h, w, …), at their own size."""


def find_in_tiles(
    levels: Sequence[NDArray[Any]],
    find: FindInTiles,
    side: int,
    overlap: int,
    *,
    together: int = 1,
    advance: Callable[[int], object] = lambda _: None,
) -> Instances:
    """Return the instances of an image, best first, with masks joined across the seams of tiles.

    An object that is no longer than `overlap` lies whole in some tile. A longer one is joined from
    its pieces, or found whole at a level where it is small enough; its cut-off pieces are then left
    out. The result may have more instances than one tile's `max_detections`.

    Args:
        levels: the image or a map of it (H, W, …) at full, half, quarter, … size (see `pyramid`).
        find: called with the tiles of a level.
        side: of a tile.
        overlap: that neighbouring tiles share, at least.
        together: how many tiles `find` is given.
        advance: told how many tiles are done.
    """
    size_hw = (levels[0].shape[0], levels[0].shape[1])
    whole: list[Whole] = []
    cut: list[Whole] = []
    near = Near(side)
    for number, level in enumerate(levels):
        level_hw = (level.shape[0], level.shape[1])
        tiles = plan_tiles(level_hw, side, overlap)
        pieces = list(_pieces(level, tiles, find, together, advance))
        least = 0 if number == 0 else overlap << (number - 1)
        found = [it for it in stitch(pieces, tiles, level_hw, number) if it.length > least]
        cut += [it for it in found if it.is_cut]
        fresh = sorted((it for it in found if not it.is_cut), key=lambda it: -it.score)
        fresh = _without(fresh, whole, near, _repeats)
        whole += fresh
        near.add(it.box for it in fresh)
    kept = whole + _without(cut, whole, near, _covers)
    kept.sort(key=lambda it: -it.score)
    scores = np.array([it.score for it in kept], np.float32)
    return Instances([it.mask(size_hw) for it in kept], scores, size_hw)


def count_tiles(size_hw: tuple[int, int], side: int, overlap: int) -> int:
    """Return how many tiles `find_in_tiles` processes, over all levels of a pyramid."""
    count = len(plan_tiles(size_hw, side, overlap))
    while max(size_hw) > side:
        size_hw = ((size_hw[0] + 1) // 2, (size_hw[1] + 1) // 2)
        count += len(plan_tiles(size_hw, side, overlap))
    return count


def _pieces(
    level: NDArray[Any],
    tiles: Sequence[Tile],
    find: FindInTiles,
    together: int,
    advance: Callable[[int], object],
) -> Iterator[Piece]:
    for first in range(0, len(tiles), together):
        chosen = tiles[first : first + together]
        found = find([np.ascontiguousarray(tile.of(level)) for tile in chosen])
        for index, (tile, instances) in enumerate(zip(chosen, found, strict=True), start=first):
            boxes = boxes_xyxy(instances.masks).astype(int).tolist()
            scores = instances.scores.tolist()
            for mask, box, score in zip(instances.masks, boxes, scores, strict=True):
                if box[2] > box[0]:
                    corner = (tile.left, tile.top)
                    yield Piece(index, corner, mask, score, Tile(*box).moved(*corner))
        advance(len(chosen))


def _without(
    objects: Sequence[Whole],
    others: Sequence[Whole],
    near: Near,
    holds: Callable[[Whole, Whole], bool],
) -> list[Whole]:
    """Return the objects for which the condition holds with none of the others near them."""
    kept = []
    for it in objects:
        met = (others[index] for index in near.meeting(it.box))
        if not any(
            other.box.shared(it.box).area > NEAR_BOX * it.box.area and holds(it, other)
            for other in met
        ):
            kept.append(it)
    return kept


def _repeats(it: Whole, finer: Whole) -> bool:
    """Whether an object is the same as one of a finer level, which has a sharper outline."""
    if finer.box.area * 4 < it.box.area:
        return False
    shared, united = _overlap(it, finer)
    thin = _window(it).bitmap.sum() < THIN * (it.length >> it.level)  # mostly outline, imprecise
    return shared >= (STITCH_IOU / 2 if thin else STITCH_IOU) * united


def _covers(it: Whole, larger: Whole) -> bool:
    """Whether a cut-off piece lies mostly in a larger object of a coarser level."""
    if larger.level <= it.level or larger.length <= it.length:
        return False
    window = it.at_level(larger.level)
    area = int(window.bitmap.sum())
    shared = drawn(_window(larger), place_of(window)) & window.bitmap
    return area > 0 and int(shared.sum()) >= COVERED * area


def _overlap(coarse: Whole, fine: Whole) -> tuple[int, int]:
    """Return the pixels in both masks, and in either, at the coarser level."""
    windows = _window(coarse), fine.at_level(coarse.level)
    boxes = [place_of(window) for window in windows]
    if boxes[1].is_empty:
        return 0, int(windows[0].bitmap.sum())
    area = bounds(boxes)
    a, b = (drawn(window, area) for window in windows)
    return int((a & b).sum()), int((a | b).sum())


@lru_cache(maxsize=16)
def _window(it: Whole) -> Window:
    """Return an object's mask; cached, because it is compared with several others in turn."""
    return it.window
