"""Errors of affinity maps, inside the annotated objects and on their boundaries."""

from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ggn.affinity.targets import affinity_targets


def affinity_errors(
    affinity: NDArray[np.float32], labels: NDArray[np.int32]
) -> dict[str, tuple[float, float, int]]:
    """Return {"inner", "outer": (summed cross-entropy, summed L1, pixels)} of one map (H, W).

    A pixel counts if it or a neighbour belongs to an annotated instance. Inner pixels have the
    label of all their neighbours (hard target 1), outer pixels differ from at least one (hard
    target 0). Cross-entropy is in nats; its logarithm is clamped at −100.
    """
    if affinity.ndim != 2 or affinity.shape != labels.shape:
        raise ValueError(
            f"affinity and labels must be (H, W), got {affinity.shape} and {labels.shape}"
        )
    soft, weight = affinity_targets(torch.from_numpy(labels)[None])
    hard = (soft[0, 0] == 1).double()
    predicted = torch.from_numpy(affinity).double()
    entropy = F.binary_cross_entropy(predicted, hard, reduction="none")
    distance = (predicted - hard).abs()
    counted = weight[0, 0] > 0
    errors = {}
    for name, value in (("inner", 1), ("outer", 0)):
        chosen = counted & (hard == value)
        sums = float(entropy[chosen].sum()), float(distance[chosen].sum())
        errors[name] = (*sums, int(chosen.sum()))
    return errors


class AffinityErrors:
    """Sums `affinity_errors` over the images of a dataset."""

    def __init__(self) -> None:
        self._sums = {"inner": np.zeros(3), "outer": np.zeros(3)}

    def add(self, affinity: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
        """Add one image's map and its instance labels, both (H, W)."""
        for name, values in affinity_errors(affinity, labels).items():
            self._sums[name] += values

    def merge(self, other: Self) -> None:
        """Add the images of another object."""
        for name, values in other._sums.items():
            self._sums[name] += values

    def metrics(self) -> dict[str, float]:
        """Return the means over all counted pixels, and their numbers.

        Keys: `inner_cross_entropy`, `inner_l1`, `inner_pixels` and the same with `outer`; a part
        without pixels has only its count.
        """
        result = {}
        for name, (entropy, distance, pixels) in self._sums.items():
            if pixels:
                result[f"{name}_cross_entropy"] = float(entropy / pixels)
                result[f"{name}_l1"] = float(distance / pixels)
            result[f"{name}_pixels"] = float(pixels)
        return result
