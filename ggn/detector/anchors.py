"""One square anchor per location of each pyramid level, and which of them lie on an image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

STRIDES = (4, 8, 16, 32, 64)
"""Pixels per cell of the pyramid levels P2 to P6."""

SIZE_DIVISOR = 32
"""Sides of the network's input are multiples of this; images are padded right and below."""


def padded_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return a size (H, W) rounded up to multiples of `SIZE_DIVISOR`."""
    height, width = (-(-side // SIZE_DIVISOR) * SIZE_DIVISOR for side in size_hw)
    return height, width


def level_anchors(size_hw: tuple[int, int], stride: int, scale: float) -> Tensor:
    """Return the anchors of a level: squares of side `scale * stride` at `cell index * stride`.

    The centre has no half-cell offset: the anchor of cell (0, 0) is centred on the image's corner
    (the reference's convention; see GGN, section 4, and its Mask R-CNN recipe).

    Returns:
        float32 (H * W, 4), xyxy in pixels of the network's input, raster order.
    """
    height, width = size_hw
    half = scale * stride / 2
    ys = torch.arange(height, dtype=torch.float32) * stride
    xs = torch.arange(width, dtype=torch.float32) * stride
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack([x - half, y - half, x + half, y + half], dim=-1).reshape(-1, 4)


def pyramid_anchors(sizes_hw: Sequence[tuple[int, int]], scale: float) -> Tensor:
    """Return the anchors of all levels, finest first: float32 (A, 4), one for each of A cells."""
    return torch.cat(
        [level_anchors(size, stride, scale) for size, stride in zip(sizes_hw, STRIDES, strict=True)]
    )


def inside_padded_image(
    sizes_hw: Sequence[tuple[int, int]], padded_hw: tuple[int, int], device: torch.device
) -> Tensor:
    """Return which cells belong to an image that fills only `padded_hw` of the batch's frame.

    Args:
        sizes_hw: grid of each level for the whole frame, finest first.
        padded_hw: the image's own size, padded to the network's divisor.
        device: device of the result.

    Returns:
        bool (A,), in the order of `pyramid_anchors`.
    """
    flags = []
    for (height, width), stride in zip(sizes_hw, STRIDES, strict=True):
        flag = torch.zeros((height, width), dtype=torch.bool, device=device)
        flag[: math.ceil(padded_hw[0] / stride), : math.ceil(padded_hw[1] / stride)] = True
        flags.append(flag.flatten())
    return torch.cat(flags)


def inside_image(anchors_xyxy: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return which anchors (A, 4) lie wholly on an image of this unpadded size: bool (A,)."""
    height, width = size_hw
    limits = anchors_xyxy.new_tensor([width, height])
    return (anchors_xyxy[:, :2] >= 0).all(dim=1) & (anchors_xyxy[:, 2:] < limits).all(dim=1)
