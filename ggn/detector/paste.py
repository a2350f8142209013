"""From mask probabilities on a box's grid to run-length masks of the whole image."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ggn.core.masks import RLE, from_segmentation


def encode_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: tuple[int, int], threshold: float
) -> list[RLE]:
    """Run-length masks of the pixels where the pasted probabilities reach `threshold`.

    Work and memory go with the area of the boxes, not of the image.

    Args:
        probabilities: float32 (N, S, S).
        boxes_xyxy: float32 (N, 4), in pixels of the image.
        size_hw: of the image.
        threshold: above 0.
    """
    masks = []
    for cells, box in zip(probabilities.cpu(), boxes_xyxy.cpu(), strict=True):
        window_xyxy = _reach(box.tolist(), cells.shape[-1], size_hw)
        bitmap = (paste_probabilities(cells, box, window_xyxy) >= threshold).numpy()
        counts = _run_lengths(bitmap, window_xyxy[:2], size_hw)
        masks.append(from_segmentation({"size": list(size_hw), "counts": counts}, size_hw))
    return masks


def _reach(box_xyxy: list[float], cells: int, size_hw: tuple[int, int]) -> tuple[int, ...]:
    """The part of the image, x1, y1, x2, y2, where pasted probabilities are not 0."""
    x1, y1, x2, y2 = box_xyxy
    reach_x, reach_y = (x2 - x1) / cells / 2, (y2 - y1) / cells / 2
    left, top = max(math.floor(x1 - reach_x), 0), max(math.floor(y1 - reach_y), 0)
    right = max(min(math.ceil(x2 + reach_x), size_hw[1]), left)
    return left, top, right, max(min(math.ceil(y2 + reach_y), size_hw[0]), top)


def paste_probabilities(cells: Tensor, box_xyxy: Tensor, window_xyxy: tuple[int, ...]) -> Tensor:
    """Sample a box's probabilities at the pixel centres of a window, bilinearly, 0 outside.

    Bilinear interpolation is separable, so that two small matrix products do it.

    Args:
        cells: float32 (S, S).
        box_xyxy: float32 (4,), in pixels of the image.
        window_xyxy: in whole pixels of the image.

    Returns:
        float32 (window height, window width).
    """
    x1, y1, x2, y2 = box_xyxy.tolist()
    left, top, right, bottom = window_xyxy
    rows = _axis_weights(y1, y2, cells.shape[0], top, bottom)
    columns = _axis_weights(x1, x2, cells.shape[1], left, right)
    return rows @ cells @ columns.T


def _axis_weights(start: float, stop: float, cells: int, first: int, last: int) -> Tensor:
    """Bilinear weight of each cell of a box's axis at each pixel centre: (last - first, cells).

    Cell k of [start, stop) has its centre at start + (k + ½)(stop − start)/cells; beyond the outer
    centres the value falls linearly to 0 within one cell.
    """
    centres = torch.arange(first, last, dtype=torch.float32) + 0.5
    place = (centres - start) / max(stop - start, 1e-6) * cells - 0.5
    return (1 - (place[:, None] - torch.arange(cells)).abs()).clamp_(min=0)


def _run_lengths(
    window: NDArray[np.bool_], corner_xy: tuple[int, ...], size_hw: tuple[int, int]
) -> list[int]:
    """COCO's run lengths of an image that is empty but for a window at `corner_xy`."""
    height, width = size_hw
    left, top = corner_xy
    columns = np.pad(window, ((1, 1), (0, 0))).astype(np.int8).T
    column, row = np.nonzero(np.diff(columns, axis=1))
    changes = (left + column) * height + top + row
    # A run that ends with its column and one that starts with the next are the same run.
    joined = np.flatnonzero(changes[1:-1:2] == changes[2::2]) * 2 + 1
    changes = np.delete(changes, [*joined, *(joined + 1)])
    counts: list[int] = np.diff(changes, prepend=0, append=height * width).tolist()
    return counts if counts[-1] else counts[:-1]  # no empty run behind a mask's last pixel
