"""Checks and reads what is compared of one record: its image, its box, its mask."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ggn.core.masks import areas, from_segmentation
from ggn.core.objects import CROWD_WORDS, DERIVED, crowd_value
from ggn.core.segmentation import are_shares, is_nothing
from ggn.core.values import is_lenient_finite, is_lenient_integer, short
from ggn.evaluation.image_records import Images
from ggn.evaluation.params import IouType
from ggn.evaluation.run_lengths import RunLengths, are_sound

Record = Mapping[str, Any]

_SEQUENCES = (list, tuple, np.ndarray)

NOTHING: Final = "masks without a polygon of three points, counted as detections of nothing"
"""The kind of mend that makes a predicted mask empty."""
NO_PIXEL: Final = "polygons that cover no pixel, counted as detections of nothing"
SHARES: Final = "polygons that look like shares of 1, but must be in pixels"


@dataclass(frozen=True)
class ObjectShapes:
    """Checks and completes the boxes and masks that are compared."""

    images: Images
    iou_types: Sequence[IouType]
    may_be_empty: bool = False
    """Whether a mask without polygons is valid and empty, as detectors write it."""
    mended: dict[int, list[str]] | None = None
    """Receives what is mended, by place of the record."""

    def faults_of(self, record: Record) -> Iterator[str]:
        """Yield the faults of image id and box, and of a mask that is needed but missing."""
        image_id, needs_mask = record.get("image_id"), self.needs_mask(record)
        if not is_lenient_integer(image_id) or image_id not in self.images.ids:
            yield f"image_id must be the id of an annotated image, got {short(image_id)}"
        elif needs_mask and image_id not in self.images.sizes_hw:
            yield f"image {image_id} must have a height and width >= 1, because masks need them"
        if has_box(record):
            yield from _box_faults(record["bbox"])
        if needs_mask and record.get("segmentation") is None:
            missing = "segmentation" if "segm" in self.iou_types else "bbox"
            yield f"must have a {missing}, because iou_types are {list(self.iou_types)}"

    def with_mask(self, index: int, record: Record) -> Record:
        """Return the record with its mask as compressed RLE, if masks are compared."""
        if not self.needs_mask(record):
            return record
        mask, size_hw = record["segmentation"], self.images.sizes_hw[record["image_id"]]
        if _is_sound(mask, size_hw):
            return record
        kinds: list[str] = []
        if self.may_be_empty and is_nothing(mask):
            mask = {"size": [*size_hw], "counts": [size_hw[0] * size_hw[1]]}
            kinds.append(NOTHING)
        drawn = {**record, "segmentation": from_segmentation(mask, size_hw, kinds)}
        if self.may_be_empty and isinstance(mask, list):
            if are_shares(mask, size_hw):
                kinds.append(SHARES)
            elif not areas([drawn["segmentation"]])[0]:
                kinds.append(NO_PIXEL)
        if kinds:
            self._note(index, *kinds)
        return drawn

    def completed(self, index: int, record: Record) -> Record:
        """Return the record with an area, and with any `iscrowd` as 0 or 1."""
        changes = {}
        stated = record.get("area") is not None and has_box(record)
        if not stated and record.get("segmentation") is not None:
            self._note(index, DERIVED)
        if record.get("area") is None:
            if self.needs_mask(record):
                changes["area"] = float(areas([record["segmentation"]])[0])
            else:
                changes["area"] = float(record["bbox"][2] * record["bbox"][3])
        if type(record.get("iscrowd", 0)) is not int:
            self._note(index, CROWD_WORDS)
            changes["iscrowd"] = crowd_value(record["iscrowd"]) or 0
        return {**record, **changes} if changes else record

    def _note(self, index: int, *kinds: str) -> None:
        if self.mended is not None:
            self.mended.setdefault(index, []).extend(kinds)

    def needs_mask(self, record: Record) -> bool:
        """Whether a record's mask is compared, or stands in for its missing box."""
        return "segm" in self.iou_types or not has_box(record)


def has_box(record: Record) -> bool:
    """Whether a record states a box; exporters write null or an empty list if it has none."""
    bbox = record.get("bbox")
    return bbox is not None and not (isinstance(bbox, list) and not bbox)


def _is_sound(mask: Any, size_hw: tuple[int, int]) -> bool:
    """Whether a mask is surely valid compressed RLE of that size."""
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        return False
    size, n_pixels = mask.get("size"), np.array([size_hw[0] * size_hw[1]])
    is_size = isinstance(size, list) and all(type(side) is int for side in size)
    return (
        is_size and size == [*size_hw] and are_sound(RunLengths.of([mask["counts"]]), n_pixels)[0]
    )


def _box_faults(box: Any) -> Iterator[str]:
    numbers = list(box) if isinstance(box, _SEQUENCES) else []
    if len(numbers) != 4 or not all(map(is_lenient_finite, numbers)):
        yield f"bbox must be 4 finite numbers [x, y, width, height], got {short(box)}"
    elif numbers[2] < 0 or numbers[3] < 0:
        yield f"bbox must have width and height >= 0, got {short(box)}"
