"""Boxes as regression targets: encodes them relative to a reference box, decodes and clips them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LOG_RATIO = math.log(1000 / 16)
"""Width and height change by at most this log-ratio, in either direction, when decoded."""


def _centre_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    top_left, bottom_right = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return (top_left + bottom_right) * 0.5, bottom_right - top_left


def encode_deltas(references_xyxy: Tensor, boxes_xyxy: Tensor, stds: Sequence[float]) -> Tensor:
    """Return offsets (dx, dy, dw, dh) from the references to the boxes, divided by `stds`.

    dx, dy are in units of the reference's width and height, dw, dh are log-ratios (R-CNN's coder).
    References must have positive width and height.

    Args:
        references_xyxy: float32 (..., 4), anchors or proposals.
        boxes_xyxy: float32 (..., 4).
        stds: four positive numbers.

    Returns:
        float32 (..., 4).
    """
    centre, size = _centre_size(boxes_xyxy)
    reference_centre, reference_size = _centre_size(references_xyxy)
    deltas = torch.cat(
        [(centre - reference_centre) / reference_size, torch.log(size / reference_size)], dim=-1
    )
    return deltas / deltas.new_tensor(list(stds))


def decode_deltas(references_xyxy: Tensor, deltas: Tensor, stds: Sequence[float]) -> Tensor:
    """Invert `encode_deltas`, with dw and dh clamped to ±`MAX_LOG_RATIO`.

    Returns:
        float32 (..., 4), xyxy, not clipped to any image.
    """
    deltas = deltas * deltas.new_tensor(list(stds))
    reference_centre, reference_size = _centre_size(references_xyxy)
    centre = reference_centre + deltas[..., :2] * reference_size
    half = reference_size * deltas[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp() * 0.5
    return torch.cat([centre - half, centre + half], dim=-1)


def decode_sides(references_xyxy: Tensor, distances: Tensor) -> Tensor:
    """Return boxes from the distances of their sides to the centres of the references.

    Negative distances are used as they are, so a box may be inverted (x2 < x1).

    Args:
        references_xyxy: float32 (..., 4), anchors.
        distances: float32 (..., 4): top and bottom in heights of the reference, left and right in
            widths (OLN's coder).

    Returns:
        float32 (..., 4), xyxy, not clipped to any image.
    """
    (x, y), (width, height) = (pair.unbind(-1) for pair in _centre_size(references_xyxy))
    top, bottom, left, right = distances.unbind(-1)
    sides = [x - left * width, y - top * height, x + right * width, y + bottom * height]
    return torch.stack(sides, dim=-1)


def clip_boxes(boxes_xyxy: Tensor, sizes_hw: Tensor) -> Tensor:
    """Clip boxes to the image frame, 0 … width and 0 … height.

    Args:
        boxes_xyxy: float32 (..., N, 4).
        sizes_hw: (..., 2), height and width of each image of the leading axes.

    Returns:
        float32 (..., N, 4).
    """
    limit = sizes_hw.flip(-1).to(boxes_xyxy.dtype)
    limit_xyxy = torch.cat([limit, limit], dim=-1).unsqueeze(-2)
    return torch.minimum(boxes_xyxy.clamp(min=0), limit_xyxy)
