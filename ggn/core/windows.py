"""Masks as bitmaps of their boxes: work and memory depend on the object, not on the image."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import RLE, boxes_xyxy, from_runs
from ggn.core.segmentation import parse_rle


class Window(NamedTuple):
    """A bitmap and its position."""

    left: int
    top: int
    bitmap: NDArray[np.bool_]
    """(height, width)"""


def window_of(rle: RLE) -> Window:
    """Return the smallest window that holds a mask; for an empty mask, a window without pixels.

    It takes one byte per pixel of the image columns that the mask reaches.
    """
    height, width = rle["size"]
    left, top, right, bottom = map(int, boxes_xyxy([rle])[0].tolist())
    ends = parse_rle(rle, (height, width)).cumsum().clip(left * height, right * height)
    runs = np.diff(ends, prepend=left * height)
    inside = np.arange(runs.size) % 2 == 1
    columns = np.zeros((right - left) * height, dtype=bool)
    columns[: int(runs.sum())] = np.repeat(inside, runs)
    return Window(left, top, columns.reshape(-1, height)[:, top:bottom].T)


def mask_of(window: Window, size_hw: tuple[int, int]) -> RLE:
    """Return the mask of a window, in an image of (height, width)."""
    counts = run_lengths(window.bitmap, (window.left, window.top), size_hw)
    return from_runs(counts, size_hw)


def run_lengths(
    bitmap: NDArray[np.bool_], corner_xy: tuple[int, ...], size_hw: tuple[int, int]
) -> list[int]:
    """Return COCO's run lengths of an image that is empty except for a bitmap at `corner_xy`."""
    height, width = size_hw
    left, top = corner_xy
    columns = np.zeros((bitmap.shape[1], bitmap.shape[0] + 2), dtype=bool)
    columns[:, 1:-1] = bitmap.T
    column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
    changes = (left + column) * height + top + row
    # A run that ends with its column and one that starts with the next are the same run.
    ends = np.flatnonzero(changes[1:-1:2] == changes[2::2]) * 2 + 1
    kept = np.ones(len(changes), dtype=bool)
    kept[ends] = kept[ends + 1] = False
    counts: list[int] = np.diff([0, *changes[kept].tolist(), height * width]).tolist()
    return counts if counts[-1] else counts[:-1]  # no empty run after the mask's last pixel
