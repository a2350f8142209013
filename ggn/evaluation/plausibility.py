"""Finds predicted boxes that are probably not [x, y, width, height] in pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ggn.core.agreement import PIXELS, SHARE
from ggn.evaluation.detections import Detections
from ggn.evaluation.image_records import Images

_SHARE_OUTSIDE: Final = 0.05
"""From this share on, boxes outside their image are not the few that a detector did not clip."""
_SHARE_TINY: Final = 0.5


@dataclass
class Plausibility:
    """Counts the boxes of a results file that are implausible, batch by batch.

    A box is outside if an edge is beyond its image by more than both `PIXELS` and `SHARE` of the
    image's side. It is tiny if all of it is in the first pixel of its image.
    """

    boxes: int = 0
    """Boxes stated so far."""
    outside: int = 0
    corners: int = 0
    """Boxes outside that fit if read as x1, y1, x2, y2."""
    tiny: int = 0
    _records: int = 0
    _first: int = -1

    def add(self, detections: Detections, images: Images) -> None:
        """Count the boxes of the next records of the file; those of images without a size pass."""
        sizes_hw = images.sizes_of(detections.image_ids)
        boxes = detections.boxes_xywh
        if sizes_hw is None or not detections.has_box.any():
            self._records += len(detections)
            return
        side = np.where(sizes_hw > 0, sizes_hw, np.inf)[:, ::-1]  # width, height
        far = np.maximum(PIXELS, SHARE * side)
        with np.errstate(invalid="ignore"):  # records without a box are NaN
            start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
            outside = ((start < -far) | (end > side + far)).any(axis=1)
            ordered = (boxes[:, 2:] > start) & (boxes[:, 2:] <= side + PIXELS) & (start >= -PIXELS)
            tiny = (start >= 0).all(axis=1) & (boxes <= 1).all(axis=1) & (side > 2).all(axis=1)
        if self._first < 0 and outside.any():
            self._first = self._records + int(outside.argmax())
        self.boxes += int(detections.has_box.sum())
        self.outside += int(outside.sum())
        self.corners += int((outside & ordered.all(axis=1)).sum())
        self.tiny += int(tiny.sum())
        self._records += len(detections)

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each kind that is too frequent to be chance."""
        if self.outside > _SHARE_OUTSIDE * self.boxes:
            meant = "x1, y1, x2, y2" if self.corners > 0.9 * self.outside else ""
            yield (
                f"{self.outside} of {self.boxes} boxes [x, y, width, height] reach far outside "
                f"their image, first predictions[{self._first}]"
                + (f"; they look like {meant}" if meant else "; do they belong to another size?")
            )
        if self.tiny > _SHARE_TINY * self.boxes:
            yield (
                f"{self.tiny} of {self.boxes} boxes lie in the first pixel of their image; "
                "they look like shares of 1, but must be in pixels"
            )
