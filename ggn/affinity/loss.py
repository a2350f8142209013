"""The loss that trains the affinity network."""

import torch
import torch.nn.functional as F
from torch import Tensor


def affinity_loss(logits: Tensor, target: Tensor, weight: Tensor, pos_weight: float) -> Tensor:
    """Return the mean over images of the weighted mean cross-entropy over pixels, a scalar.

    All are (B, 1, H, W); the sum is in float32 whatever the logits are. `pos_weight` w multiplies
    the positive part of the *soft* target y: −(w·y·log p + (1 − y)·log(1 − p)). Its optimum is
    p = w·y / (w·y + 1 − y), so the outputs are no probabilities (w = 0.05, y = 7/8: p = 0.26).
    An image without weight, one with no annotated object, contributes exactly 0.
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
