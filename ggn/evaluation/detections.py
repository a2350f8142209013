"""Detections as columns, the form in which all predictions are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ggn.core.faults import Mends
from ggn.evaluation.run_lengths import RunLengths

NO_CATEGORY = int(np.iinfo(np.int64).min)
"""The category id of a detection without a category."""


@dataclass(frozen=True)
class Detections:
    """N detections of one image or of several."""

    image_ids: NDArray[np.int64]
    """(N,)"""
    scores: NDArray[np.float64]
    """(N,)"""
    category_ids: NDArray[np.int64]
    """(N,) `NO_CATEGORY` where there is none."""
    boxes_xywh: NDArray[np.float64]
    """(N, 4) x, y, width, height in pixels; NaN where there is none."""
    masks: RunLengths
    """N; without run lengths where there is none."""

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], *, with_masks: bool) -> Self:
        """Return checked COCO result records, with masks only if `with_masks` or without a box."""
        nothing = [np.nan] * 4
        stated = [record.get("bbox") for record in records]
        boxes = [box if box is not None and len(box) else nothing for box in stated]
        counts = [
            record["segmentation"]["counts"] if with_masks or box is nothing else ""
            for record, box in zip(records, boxes, strict=True)
        ]
        return cls(
            np.array([record["image_id"] for record in records], np.int64),
            np.array([record["score"] for record in records], np.float64),
            np.array([record.get("category_id", NO_CATEGORY) for record in records], np.int64),
            np.array(boxes, np.float64).reshape(-1, 4),
            RunLengths.of(counts),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.integer] | slice) -> Detections:
        return Detections(
            self.image_ids[chosen],
            self.scores[chosen],
            self.category_ids[chosen],
            self.boxes_xywh[chosen],
            self.masks[chosen],
        )

    @property
    def has_box(self) -> NDArray[np.bool_]:
        """Whether each states a box, (N,)."""
        return ~np.isnan(self.boxes_xywh[:, 0])


def best_first(
    scores: NDArray[np.float64], category_ids: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """Return the indices of the best `most` detections, by falling score, category, then index.

    A detection without a category is sorted as category 0.
    """
    categories = np.where(category_ids == NO_CATEGORY, 0, category_ids)
    return np.lexsort((categories, -scores))[:most]


class Predictions(Protocol):
    """Checked detections of all images; only those asked for need to be in memory."""

    @property
    def name(self) -> str:
        """Their source, for messages."""

    @property
    def mends(self) -> Mends:
        """Records that were mended in reading."""

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences on why the numbers may mislead."""

    @property
    def have_categories(self) -> bool:
        """Whether detections may state a category."""

    @property
    def are_sized_by_box(self) -> bool:
        """Whether a detection's size is its box's area, as in pycocotools if all have boxes."""

    def by_image(self, image_ids: Sequence[int], most: int) -> Iterator[Callable[[], Detections]]:
        """Yield functions that read each image's best detections, best first, on any thread.

        Args:
            image_ids: ascending; an image may have no detections.
            most: detections per image.
        """
