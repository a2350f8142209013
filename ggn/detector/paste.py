"""From mask probabilities on a box's grid to run-length masks of the whole image."""

import torch
from torch import Tensor

from ggn.core.masks import RLE, encode

_PIXELS_AT_ONCE = 1 << 25  # bounds the memory of a chunk of pasted masks: 32 MB of bitmaps


def _axis_weights(start: Tensor, stop: Tensor, cells: int, pixels: int) -> Tensor:
    """Bilinear weight of each cell of a box's axis at each pixel centre: (N, pixels, cells).

    Cell k of [start, stop) has its centre at start + (k + ½)(stop − start)/cells; beyond the outer
    centres the value falls linearly to 0 within one cell.
    """
    centres = torch.arange(pixels, dtype=start.dtype, device=start.device) + 0.5
    extent = (stop - start).clamp(min=1e-6)[:, None]
    place = (centres[None, :] - start[:, None]) / extent * cells - 0.5
    index = torch.arange(cells, dtype=start.dtype, device=start.device)
    return (1 - (place[:, :, None] - index).abs()).clamp_(min=0)


def paste_probabilities(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: tuple[int, int]
) -> Tensor:
    """Sample each box's probabilities at the pixel centres of the image, bilinearly, 0 outside.

    Bilinear interpolation is separable, so that two small matrix products do it.

    Args:
        probabilities: float32 (N, S, S).
        boxes_xyxy: float32 (N, 4), in pixels of the image.
        size_hw: of the image.

    Returns:
        float32 (N, H, W).
    """
    cells = probabilities.shape[-1]
    x1, y1, x2, y2 = boxes_xyxy.unbind(1)
    rows = _axis_weights(y1, y2, cells, size_hw[0])
    columns = _axis_weights(x1, x2, cells, size_hw[1])
    return rows @ probabilities @ columns.transpose(1, 2)


def encode_masks(
    probabilities: Tensor, boxes_xyxy: Tensor, size_hw: tuple[int, int], threshold: float
) -> list[RLE]:
    """Run-length masks of the pixels that reach `threshold` (for the shapes see above).

    Only a few masks are dense at any time, whatever their number.
    """
    at_once = max(1, _PIXELS_AT_ONCE // (size_hw[0] * size_hw[1]))
    masks: list[RLE] = []
    for first in range(0, len(boxes_xyxy), at_once):
        chunk = slice(first, first + at_once)
        pasted = paste_probabilities(probabilities[chunk], boxes_xyxy[chunk], size_hw)
        masks += encode((pasted >= threshold).cpu().numpy())
    return masks
