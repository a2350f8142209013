"""The losses that train the affinity network."""

import torch
import torch.nn.functional as F
from torch import Tensor


def affinity_loss(logits: Tensor, target: Tensor, weight: Tensor, pos_weight: float) -> Tensor:
    """Return the mean over images of the weighted mean cross-entropy over pixels, a scalar.

    All are (B, 1, H, W); the sum is in float32 whatever the logits are. `pos_weight` w multiplies
    the positive part of the *soft* target y: −(w·y·log p + (1 − y)·log(1 − p)). Its optimum is
    p = w·y / (w·y + 1 − y), so the outputs are not probabilities (w = 0.05, y = 7/8: p = 0.26).
    An image without annotated objects has no weight and contributes exactly 0.
    """
    entropy = F.binary_cross_entropy_with_logits(
        logits.float(),
        target,
        weight=weight,
        pos_weight=torch.tensor(pos_weight, device=logits.device),
        reduction="none",
    )
    pixels = weight.sum(dim=(1, 2, 3)).clamp(min=1)
    return (entropy.sum(dim=(1, 2, 3)) / pixels).mean()


INTERIOR_FACTOR = 1.1
"""Factor of the weight of interior pixels in the balanced loss (HED's lambda)."""


def balanced_affinity_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the cross-entropy on hard labels, balanced between edges and interior, a scalar.

    All are (B, 1, H, W), target and weight those of `affinity_targets`; the sum is in float32
    whatever the logits are. Of the pixels that count, those whose soft target is 1 are interior
    (hard label 1); the others, which have a neighbour of another label, are edges (0), on both
    sides of an outline. With n interior pixels and e edges in the batch, an edge weighs
    n / (n + e) and an interior pixel 1.1 * e / (n + e); the sum is divided by n + e. The balance
    is that of Xie and Tu (Holistically-nested edge detection, ICCV 2015), which labels the edges 1.
    A batch without edges or without interior has a loss of exactly 0.
    """
    interior = (target == 1).float() * weight
    edge = weight - interior
    inside, edges, counted = interior.sum(), edge.sum(), weight.sum().clamp(min=1)
    balance = (edge * inside + interior * INTERIOR_FACTOR * edges) / counted
    entropy = F.binary_cross_entropy_with_logits(
        logits.float(), interior, weight=balance, reduction="sum"
    )
    return entropy / counted
