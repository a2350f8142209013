"""The targets of the affinity network: soft affinities of a label map, and where they count."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ggn.affinity.offsets import NEIGHBOUR_OFFSETS

PADDING_LABEL = -1
"""Label of pixels that are not part of the image (the padding of a batch)."""


def affinity_targets(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the soft affinity and the weight of every pixel (GGN, section 3.1).

    `labels` is an integer (B, H, W): 0 background, 1 … N the instance painted there, -1 outside.
    Both results are float32 (B, 1, H, W). The target, in [0, 1], is the share of the up to 8
    neighbours that have the pixel's label; background is a label, too. The weight is 1 where the
    pixel or a neighbour belongs to an instance, else 0: background far from annotated objects may
    contain objects that nobody annotated.

    Neighbours outside the image have no label and don't count as edges; the mean is over the others
    (5 of 8 at a side, 3 in a corner). The reference counts them as different.
    """
    if labels.ndim != 3 or labels.is_floating_point():
        raise ValueError(
            f"labels must be integer (B, H, W), got {labels.dtype} {tuple(labels.shape)}"
        )
    height, width = labels.shape[1:]
    padded = F.pad(labels, (1, 1, 1, 1), value=PADDING_LABEL)
    same = torch.zeros(labels.shape, dtype=torch.float32, device=labels.device)
    valid = torch.zeros_like(same)
    near_object = labels > 0
    for dy, dx in NEIGHBOUR_OFFSETS.tolist():
        neighbour = padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        same += neighbour == labels
        valid += neighbour != PADDING_LABEL
        near_object = near_object | (neighbour > 0)
    # A pixel without any neighbour (a 1×1 image) has no edge.
    target = torch.where(valid > 0, same / valid.clamp(min=1), torch.ones_like(same))
    weight = near_object & (labels != PADDING_LABEL)
    return target.unsqueeze(1), weight.to(torch.float32).unsqueeze(1)
