"""Turns mask probabilities on a box's grid into run-length masks of the whole image."""

import math

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import RLE
from ggn.core.windows import Window, mask_of

Floats = NDArray[np.float32]


def encode_masks(
    probabilities: Floats, boxes_xyxy: Floats, size_hw: tuple[int, int], threshold: float
) -> list[RLE]:
    """Return run-length masks of the pixels where the pasted probabilities reach `threshold`.

    Work and memory depend on the area of the boxes, not of the image.

    Args:
        probabilities: float32 (N, S, S).
        boxes_xyxy: float32 (N, 4), in pixels of the image.
        size_hw: of the image.
        threshold: above 0.
    """
    masks = []
    for cells, box in zip(probabilities, boxes_xyxy.tolist(), strict=True):
        window_xyxy = _reach(box, cells.shape[-1], size_hw)
        bitmap = paste_probabilities(cells, box, window_xyxy) >= threshold
        masks.append(mask_of(Window(window_xyxy[0], window_xyxy[1], bitmap), size_hw))
    return masks


def encode_boxes(boxes_xyxy: Floats, size_hw: tuple[int, int]) -> list[RLE]:
    """Return run-length masks of the pixels with centres in each box, float32 (N, 4)."""
    masks = []
    for left, top, right, bottom in np.ceil(boxes_xyxy - 0.5).astype(int).clip(min=0).tolist():
        bitmap = np.ones((max(bottom - top, 0), max(right - left, 0)), dtype=bool)
        masks.append(mask_of(Window(left, top, bitmap), size_hw))
    return masks


def _reach(box_xyxy: list[float], cells: int, size_hw: tuple[int, int]) -> tuple[int, ...]:
    """Return the part of the image, x1, y1, x2, y2, where pasted probabilities are not 0."""
    x1, y1, x2, y2 = box_xyxy
    reach_x, reach_y = (x2 - x1) / cells / 2, (y2 - y1) / cells / 2
    left, top = max(math.floor(x1 - reach_x), 0), max(math.floor(y1 - reach_y), 0)
    right = max(min(math.ceil(x2 + reach_x), size_hw[1]), left)
    return left, top, right, max(min(math.ceil(y2 + reach_y), size_hw[0]), top)


def paste_probabilities(
    cells: Floats, box_xyxy: list[float], window_xyxy: tuple[int, ...]
) -> Floats:
    """Sample a box's probabilities at the pixel centres of a window, bilinearly, 0 outside.

    Bilinear interpolation is separable, so two small matrix products suffice.

    Args:
        cells: float32 (S, S).
        box_xyxy: in pixels of the image.
        window_xyxy: in whole pixels of the image.

    Returns:
        float32 (window height, window width).
    """
    x1, y1, x2, y2 = box_xyxy
    left, top, right, bottom = window_xyxy
    rows = _axis_weights(y1, y2, cells.shape[0], top, bottom)
    columns = _axis_weights(x1, x2, cells.shape[1], left, right)
    return np.asarray(rows @ cells @ columns.T, dtype=np.float32)


def _axis_weights(start: float, stop: float, cells: int, first: int, last: int) -> Floats:
    """Return the bilinear weight of each cell of an axis at each pixel centre, (pixels, cells).

    Cell k of [start, stop) has its centre at start + (k + ½)(stop − start)/cells; beyond the outer
    centres the value falls linearly to 0 within one cell.
    """
    half = np.float32(0.5)
    centres = np.arange(first, last, dtype=np.float32) + half
    place = (centres - np.float32(start)) * np.float32(cells / max(stop - start, 1e-6)) - half
    distance = np.abs(place[:, None] - np.arange(cells, dtype=np.float32))
    return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)
