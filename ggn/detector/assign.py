"""Assigns anchors and proposals to the objects that they are trained on, and samples them."""

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED, NEGATIVE = -1, 0
"""Assignments other than to an object; object k (0-based) is k + 1."""


class SampledIndices(NamedTuple):
    """Indices int64 of the candidates chosen for training."""

    positive: Tensor
    negative: Tensor


def pairwise_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the IoU of every pair, float32 (Na, Nb); 0 where both boxes are empty, never NaN."""
    ax1, ay1, ax2, ay2 = a_xyxy[:, :, None].unbind(1)
    bx1, by1, bx2, by2 = b_xyxy.unbind(1)
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    intersection = width * (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    area_a = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(dim=-1)
    area_b = (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(dim=-1)
    union = area_a[:, None] + area_b[None, :] - intersection
    return intersection / union.clamp(min=1e-6)


def aligned_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Return the IoU of each box of `a` with the box of `b` in the same row: float32 (N,)."""
    width, height = (
        (torch.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]) - torch.maximum(a_xyxy[:, :2], b_xyxy[:, :2]))
        .clamp(min=0)
        .unbind(1)
    )
    intersection = width * height
    area_a, area_b = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (a_xyxy, b_xyxy))
    return intersection / (area_a + area_b - intersection).clamp(min=1e-6)


def assign_by_iou(
    iou: Tensor,
    positive_iou: float,
    negative_iou: float,
    low_quality_iou: float | None = None,
) -> Tensor:
    """Assign each candidate to the object that it overlaps most.

    A candidate is negative if its best IoU is below `negative_iou`, positive from `positive_iou`
    on, and ignored in between. With `low_quality_iou`, every object whose best IoU reaches it also
    takes all candidates with that best IoU; if there are several such objects, the last one wins.

    Args:
        iou: float32 (objects, candidates).
        positive_iou: in [negative_iou, 1].
        negative_iou: in [0, 1].
        low_quality_iou: None for no low-quality matches.

    Returns:
        int64 (candidates,): -1 ignored, 0 negative, k + 1 for object k.
    """
    objects, candidates = iou.shape
    if objects == 0:
        return torch.full((candidates,), NEGATIVE, dtype=torch.int64, device=iou.device)
    best, best_object = iou.max(dim=0)
    assigned = torch.full_like(best_object, IGNORED)
    assigned[best < negative_iou] = NEGATIVE
    assigned = torch.where(best >= positive_iou, best_object + 1, assigned)
    if low_quality_iou is None or candidates == 0:
        return assigned
    best_of_object = iou.max(dim=1, keepdim=True).values
    taken = (iou == best_of_object) & (best_of_object >= low_quality_iou)
    numbers = torch.arange(1, objects + 1, device=iou.device)[:, None]
    last = (taken * numbers).max(dim=0).values
    return torch.where(last > 0, last, assigned)


def assign_usable(
    iou: Tensor,
    usable: Tensor,
    positive_iou: float,
    negative_iou: float,
    low_quality_iou: float | None = None,
) -> Tensor:
    """Assign as `assign_by_iou` does if only `usable` candidates, bool (candidates,), exist.

    Returns:
        int64 (candidates,): as `assign_by_iou`, -1 for those not usable.
    """
    iou = iou.masked_fill(~usable, -1)
    assigned = assign_by_iou(iou, positive_iou, negative_iou, low_quality_iou)
    return assigned.masked_fill(~usable, IGNORED)


def _choose(indices: Tensor, count: int, generator: torch.Generator) -> Tensor:
    if len(indices) <= count:
        return indices
    order = torch.randperm(len(indices), generator=generator, device=indices.device)
    return indices[order[:count]]


def sample_candidates(
    assigned: Tensor, count: int, positive_fraction: float, generator: torch.Generator
) -> SampledIndices:
    """Draw up to `count` candidates, at most `positive_fraction` of them positive.

    If there are fewer positives, negatives fill the rest.

    Args:
        assigned: int64 (candidates,), from `assign_by_iou`.
        count: positive.
        positive_fraction: in [0, 1].
        generator: on the device of `assigned`; the only source of randomness.
    """
    positive = torch.nonzero(assigned > 0).flatten()
    positive = _choose(positive, int(count * positive_fraction), generator)
    negative = torch.nonzero(assigned == NEGATIVE).flatten()
    return SampledIndices(positive, _choose(negative, count - len(positive), generator))
