"""The one currency between stages: the object instances found in an image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core import masks as rle_masks
from ggn.core.masks import RLE


@dataclass(frozen=True, eq=False)
class Instances:
    """Masks and scores of the instances of one image; indexing acts on all fields.

    Raises:
        ValueError: if the masks are not of the image's size, or the scores are not finite or not
            as many as the masks.
    """

    masks: list[RLE]
    """N run-length coded masks of the image's size."""
    scores: NDArray[np.float32]
    """(N,), finite; higher is better."""
    image_size_hw: tuple[int, int]
    """Height and width in pixels."""

    def __post_init__(self) -> None:
        height, width = self.image_size_hw
        if height < 1 or width < 1:
            raise ValueError(f"image_size_hw must be positive, got {self.image_size_hw}")
        object.__setattr__(self, "image_size_hw", (int(height), int(width)))
        object.__setattr__(self, "masks", list(self.masks))
        object.__setattr__(self, "scores", np.array(self.scores, dtype=np.float32))
        if self.scores.shape != (len(self.masks),):
            raise ValueError(f"scores must be ({len(self.masks)},), got {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            index = int(np.flatnonzero(~np.isfinite(self.scores))[0])
            raise ValueError(f"scores must be finite, got {self.scores[index]} at {index}")
        rle_masks.require_size(self.masks, self.image_size_hw)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, key: slice | ArrayLike) -> Self:
        """Return the instances chosen by a slice, an array of indices or a bool array (N,)."""
        chosen = np.arange(len(self))[key if isinstance(key, slice) else np.asarray(key)]
        if chosen.ndim != 1:
            raise TypeError(f"index with a slice or a 1-d array, got {key!r}")
        return type(self)([self.masks[i] for i in chosen], self.scores[chosen], self.image_size_hw)

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """Tight boxes (N, 4) in pixel edges."""
        return rle_masks.boxes_xyxy(self.masks)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Number of pixels of each mask, (N,)."""
        return rle_masks.areas(self.masks)

    def bitmaps(self) -> NDArray[np.uint8]:
        """Return the masks as 0/1 bitmaps (N, H, W)."""
        return rle_masks.decode(self.masks, self.image_size_hw)

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> Self:
        """Return no instances of an image of (height, width)."""
        return cls([], np.zeros(0, dtype=np.float32), size_hw)

    @classmethod
    def from_bitmaps(cls, bitmaps: ArrayLike, scores: ArrayLike) -> Self:
        """Return the instances of bool or integer bitmaps (N, H, W) with their scores (N,)."""
        bitmaps = np.asarray(bitmaps)
        masks = rle_masks.encode(bitmaps)
        return cls(masks, np.asarray(scores), (bitmaps.shape[1], bitmaps.shape[2]))

    def to_coco_results(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """Return COCO result records: `bbox` is [x, y, width, height], `area` counts pixels."""
        boxes = self.boxes_xyxy
        boxes[:, 2:] -= boxes[:, :2]
        return [
            {
                "image_id": image_id,
                "category_id": category_id,
                "segmentation": mask,
                "bbox": box,
                "area": area,
                "score": score,
            }
            for mask, box, area, score in zip(
                self.masks, boxes.tolist(), self.areas.tolist(), self.scores.tolist(), strict=True
            )
        ]

    @classmethod
    def from_coco_results(
        cls, records: Iterable[Mapping[str, Any]], size_hw: tuple[int, int]
    ) -> Self:
        """Return the instances of COCO result records of one image, in their order.

        Raises:
            ValueError: if a record's segmentation is malformed or of another size, with its index.
        """
        masks, scores = [], []
        for index, record in enumerate(records):
            try:
                masks.append(rle_masks.from_segmentation(record["segmentation"], size_hw))
            except ValueError as error:
                raise ValueError(f"record {index}: {error}") from error
            scores.append(record["score"])
        return cls(masks, np.array(scores, dtype=np.float32), size_hw)
