"""Features of regions: the pyramid level of each box, and RoIAlign on that level."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision  # noqa: F401 - registers the operators of torch.ops.torchvision
from torch import Tensor

from ggn.detector.anchors import STRIDES

_LEVELS = 4  # RoIs are read from P2 to P5; P6 serves the RPN only


def pyramid_level(boxes_xyxy: Tensor, level_scale: float) -> Tensor:
    """Return level 0 … 3 (P2 … P5) of each box: floor(log2(side / level_scale)), clamped.

    The side is the square root of the area. A box of negative area (inverted on one axis) has no
    side and gets level -1, as in the reference: its features are zero.

    Args:
        boxes_xyxy: float32 (N, 4).
        level_scale: sides up to twice this are read from P2.

    Returns:
        int64 (N,).
    """
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(dim=1).sqrt()
    level = torch.floor(torch.log2(side / level_scale + 1e-6)).clamp(0, _LEVELS - 1)
    return torch.nan_to_num(level, nan=-1).to(torch.int64)


def pool_regions(
    features: Sequence[Tensor],
    boxes_xyxy: Sequence[Tensor],
    pool_size: int,
    *,
    level_scale: float,
    sampling_ratio: int,
) -> Tensor:
    """Apply RoIAlign (half-pixel aligned) to each box on its pyramid level.

    Args:
        features: P2, P3, P4, P5 (and P6, unused), each (B, C, H, W).
        boxes_xyxy: one float32 (N_i, 4) per image, in pixels of the network's input.
        pool_size: cells per side of the result.
        level_scale: see `pyramid_level`.
        sampling_ratio: samples per cell and axis, 0 for adaptive.

    Returns:
        (sum of N_i, C, pool_size, pool_size), the boxes of the first image first, in the features'
        dtype.
    """
    boxes = torch.cat(list(boxes_xyxy))
    counts = torch.tensor([len(b) for b in boxes_xyxy], device=boxes.device)
    image = torch.repeat_interleave(counts).to(boxes.dtype)
    rois = torch.cat([image[:, None], boxes], dim=1)
    levels = pyramid_level(boxes, level_scale)
    pooled = features[0].new_zeros((len(boxes), features[0].shape[1], pool_size, pool_size))
    for level, (feature, stride) in enumerate(
        zip(features[:_LEVELS], STRIDES[:_LEVELS], strict=True)
    ):
        chosen = torch.nonzero(levels == level).flatten()
        pooled[chosen] = roi_align(feature, rois[chosen], pool_size, 1 / stride, sampling_ratio)
    return pooled


def roi_align(
    feature: Tensor, rois: Tensor, pool_size: int, scale: float, sampling_ratio: int
) -> Tensor:
    """Apply half-pixel-aligned RoIAlign to rois (R, 5), (image, xyxy): (R, C, size, size).

    The boxes must lie on the image. Both implementations agree up to rounding.
    """
    if sampling_ratio == 1 and feature.device.type == "cpu":
        aligned = _sample_centres(feature.float(), rois, pool_size, scale)
    else:
        # torchvision's operator without its Python wrapper, which takes a slow, memory-hungry path
        # on a GPU under deterministic algorithms, even if these should only warn.
        aligned = torch.ops.torchvision.roi_align(
            feature, rois, scale, pool_size, pool_size, sampling_ratio, True
        )
    return aligned.to(feature.dtype)


def _sample_centres(feature: Tensor, rois: Tensor, pool_size: int, scale: float) -> Tensor:
    """Apply RoIAlign with one point per cell, as a single bilinear sampling, for a CPU.

    There it is twice as fast as torchvision's operator, forward and backward. With four points per
    cell it would be slower.
    """
    batch, channels, height, width = feature.shape
    at = (torch.arange(pool_size, dtype=rois.dtype) + 0.5) / pool_size
    start, stop = rois[:, 1:3] * scale - 0.5, rois[:, 3:] * scale - 0.5
    x, y = (start[:, :, None] + (stop - start)[:, :, None] * at).unbind(1)
    # The images are stacked vertically; a clamped point never mixes two of them.
    tall = feature.transpose(0, 1).reshape(1, channels, batch * height, width)
    x = (2 * x.clamp(0, width - 1) + 1) / width - 1
    y = (2 * (y.clamp(0, height - 1) + rois[:, :1] * height) + 1) / (batch * height) - 1
    columns, rows = x[:, None, :].expand(-1, pool_size, -1), y[:, :, None].expand(-1, -1, pool_size)
    grid = torch.stack([columns, rows], dim=-1)
    sampled = F.grid_sample(tall, grid.reshape(1, -1, pool_size, 2), align_corners=False)
    return sampled.reshape(channels, -1, pool_size, pool_size).transpose(0, 1)
