"""What each image adds to average recall, so that resampling images needs no new matching."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.average_recall import AREA_RANGES, METRIC_NAMES, REFERENCE_BUDGET
from ggn.evaluation.budget import BUDGETS, Spent

RECALL_NAMES: tuple[str, ...] = tuple(name for name in METRIC_NAMES if name.startswith("AR_"))
"""The M recalls: at each budget, then by size."""

RANGE_OF_METRIC: NDArray[np.intp] = np.array([0] * len(BUDGETS) + [1, 2, 3])
"""(M,) the index in `AREA_RANGES` of the objects that each recall is about."""


@dataclass(frozen=True)
class RecallSums:
    """N pairs of an image and a group of objects in it; a pair without objects is left out.

    A group is what recall is averaged over: all evaluated objects under `budget` and `plain`, those
    of a category under `per_class` and `federated`.
    """

    n_images: int
    """Images of the dataset, including those without objects."""
    images: NDArray[np.int64]
    """(N,) the place of the image by ascending id, from 0."""
    groups: NDArray[np.int64]
    """(N,) the number of the group, from 0, in the order in which they come."""
    hits: NDArray[np.int64]
    """(N, M) hits of each of `RECALL_NAMES`, summed over the IoU thresholds."""
    objects: NDArray[np.int64]
    """(N, 4) in each of `AREA_RANGES`."""


@dataclass
class SumsSoFar:
    """Collects `RecallSums` image by image."""

    n_images: int = 0
    _groups: dict[Hashable, int] = field(default_factory=dict)
    _pairs: list[tuple[int, int]] = field(default_factory=list)
    _hits: list[NDArray[np.int64]] = field(default_factory=list)
    _objects: list[Sequence[int]] = field(default_factory=list)

    def next_image(self) -> None:
        """Go on to the next image."""
        self.n_images += 1

    def add(self, group: Hashable, hits: NDArray[np.int64], n_objects: Sequence[int]) -> None:
        """Add a group of the image: hits (M,), as `recall_hits` has them, and objects by range."""
        if any(n_objects):
            number = self._groups.setdefault(group, len(self._groups))
            self._pairs.append((self.n_images - 1, number))
            self._hits.append(hits)
            self._objects.append(n_objects)

    def gathered(self) -> RecallSums:
        """Return everything added."""
        pairs = np.array(self._pairs, np.int64).reshape(-1, 2)
        hits = np.array(self._hits, np.int64).reshape(-1, len(RECALL_NAMES))
        objects = np.array(self._objects, np.int64).reshape(-1, len(AREA_RANGES))
        return RecallSums(self.n_images, pairs[:, 0], pairs[:, 1], hits, objects)


def recall_hits(spent: Sequence[Spent]) -> NDArray[np.int64]:
    """Hits (M,) of one view of an image, summed over IoU thresholds; `spent` is by area range."""
    hits = np.array([each.hits_per_budget for each in spent]).sum(axis=2)
    return np.concatenate([hits[0], hits[1:, BUDGETS.index(REFERENCE_BUDGET)]])
