"""The affinity of a large image, tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ggn.tiles.plan import Tile

STRIDE = 32
"""Stride of the network's coarsest features; tiles that begin at its multiples share one grid."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def affinity_in_tiles(
    image: NDArray[np.uint8],
    predict: Predict,
    side: int,
    halo: int,
    advance: Callable[[int], object] = lambda _: None,
    into: NDArray[np.float32] | None = None,
    done: int = 0,
) -> NDArray[np.float32]:
    """Return the affinity (H, W), float32 in [0, 1], of an image uint8 (H, W, 3).

    Each tile is predicted with `halo` pixels around it, which are then cut off. If the network's
    receptive field does not exceed the halo, the map equals that of the whole image, padded to
    multiples of 32 with its last row and column. Layers that use the whole image (pyramid pooling,
    group normalisation) use the tile instead.

    Args:
        image: RGB.
        predict: image -> affinity, of any size.
        side: of a tile, without its halo; a multiple of 32.
        halo: a multiple of 32.
        advance: told how many tiles are done, after they are in the map.
        into: the map to fill and to return, (H, W); a new one by default.
        done: how many tiles are already in `into`; they are left out.

    Raises:
        ValueError: `side` or `halo` is not a multiple of 32.
    """
    if side % STRIDE or halo % STRIDE or side < STRIDE or halo < 0:
        raise ValueError(f"side and halo must be multiples of {STRIDE}, got {side} and {halo}")
    height, width = image.shape[:2]
    affinity = np.empty((height, width), np.float32) if into is None else into
    for tile in core_tiles((height, width), side)[done:]:
        seen = Tile(
            max(tile.left - halo, 0),
            max(tile.top - halo, 0),
            min(tile.right + halo, width),
            min(tile.bottom + halo, height),
        )
        predicted = predict(_filled_up(seen.of(image)))
        tile.of(affinity)[:] = tile.moved(-seen.left, -seen.top).of(predicted)
        advance(1)
    return affinity


def _filled_up(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pad pixels to a multiple of the stride by repeating their last row and column."""
    below, right = (-side % STRIDE for side in pixels.shape[:2])
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")


def core_tiles(size_hw: tuple[int, int], side: int) -> list[Tile]:
    """Return tiles without overlap, row by row; those at the right and the bottom are smaller."""
    height, width = size_hw
    return [
        Tile(x, y, min(x + side, width), min(y + side, height))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
