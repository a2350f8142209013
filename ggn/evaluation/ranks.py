"""The rank of the detection that found each object."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.budget import NEVER
from ggn.evaluation.inputs import ImageArrays
from ggn.evaluation.matching import IOU_THRESHOLDS, Bools


@dataclass(frozen=True)
class ObjectRanks:
    """The N counted objects of all images; recall at k is the share with a rank of at most k."""

    image_ids: NDArray[np.int64]
    """(N,)"""
    object_indices: NDArray[np.int64]
    """(N,) of the objects in their images: ids of annotations may repeat or be missing."""
    category_ids: NDArray[np.int64]
    """(N,)"""
    ranks: NDArray[np.uint16]
    """(N, T) from 1, of the detection that took the object at each IoU threshold, or `NEVER`."""

    def found(self, k: int, threshold: int = 0) -> Bools:
        """Whether the first k detections of its image find each object; threshold 0 is IoU 0.5."""
        return np.asarray(self.ranks[:, threshold] <= k)

    def category_recall(self, k: int) -> dict[int, tuple[int, float]]:
        """Category id -> number of objects, and their recall at k, mean over IoU thresholds."""
        share = (self.ranks <= k).mean(axis=1)
        ids, inverse, counts = np.unique(self.category_ids, return_inverse=True, return_counts=True)
        recall = np.bincount(inverse, weights=share, minlength=len(ids)) / np.maximum(counts, 1)
        return {
            int(id_): (int(count), float(value))
            for id_, count, value in zip(ids, counts, recall, strict=True)
        }


@dataclass
class RanksSoFar:
    """Collects `ObjectRanks` image by image; 20 bytes per object, and its ids."""

    image_ids: list[NDArray[np.int64]] = field(default_factory=list)
    object_indices: list[NDArray[np.int64]] = field(default_factory=list)
    category_ids: list[NDArray[np.int64]] = field(default_factory=list)
    ranks: list[NDArray[np.uint16]] = field(default_factory=list)

    def add(
        self,
        image: ImageArrays,
        counted: Bools,
        taker: NDArray[np.int32],
        ranks: NDArray[np.uint16],
    ) -> None:
        """Add an image: `counted` (G,), `taker` (T, G) of each object, `ranks` (D,) of those."""
        # the last entry, which index -1 picks, stands for no detection
        taken = np.append(ranks, np.uint16(NEVER))[taker.T[counted]]
        self.image_ids.append(np.full(len(taken), image.image_id, np.int64))
        self.object_indices.append(image.object_indices[counted])
        self.category_ids.append(image.category_ids[counted])
        self.ranks.append(taken)

    def gathered(self) -> ObjectRanks:
        """Return everything added."""
        return ObjectRanks(
            np.concatenate([np.zeros(0, np.int64), *self.image_ids]),
            np.concatenate([np.zeros(0, np.int64), *self.object_indices]),
            np.concatenate([np.zeros(0, np.int64), *self.category_ids]),
            np.concatenate([np.zeros((0, len(IOU_THRESHOLDS)), np.uint16), *self.ranks]),
        )
