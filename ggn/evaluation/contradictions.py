"""Finds objects whose box, area and mask contradict each other: a fast test, then the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.agreement import PIXELS, SHARE, disagreements, shape_of
from ggn.core.masks import areas
from ggn.core.segmentation import are_shares, covers_nothing
from ggn.evaluation.run_lengths import RunLengths, boxes_and_areas

Record = Mapping[str, Any]
Sizes = Mapping[int, tuple[int, int]]

_BATCH = 65536  # masks that are measured together


def contradictions(
    given: Sequence[Record], read: Sequence[Record] | None, sizes_hw: Sizes
) -> Iterator[tuple[int, str]]:
    """Yield the position of each object that contradicts itself, and why (`ggn.core.agreement`).

    Args:
        given: objects as in their file.
        read: the same objects, all masks as compressed run lengths; None if masks are not compared.
        sizes_hw: height and width of the images that state a size.
    """
    places: Iterable[int] = range(len(given)) if read is None else _suspicious(read, sizes_hw)
    for place in places:
        record, area = given[place], given[place].get("area")
        size_hw = sizes_hw.get(record["image_id"])
        if read is not None and size_hw is not None:
            segmentation = record["segmentation"]
            if are_shares(segmentation, size_hw) or not areas([read[place]["segmentation"]])[0]:
                yield place, covers_nothing(segmentation, size_hw)
                continue
        numbers = _numbers(record.get("bbox"))
        if not record.get("segmentation") or (numbers is None and area is None):
            continue
        try:
            shape = shape_of(record["segmentation"], size_hw, [])
        except ValueError:  # a mask that is not compared, and so need not be valid
            continue
        if shape is not None:
            for reason in disagreements(shape, numbers, area, size_hw):
                yield place, reason


def _suspicious(read: Sequence[Record], sizes_hw: Sizes) -> list[int]:
    """Return the positions of all objects that contradict themselves, and of a few others."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for place, record in enumerate(read):
        by_size.setdefault(sizes_hw[record["image_id"]], []).append(place)
    found: list[int] = []
    for size_hw, places in by_size.items():
        for first in range(0, len(places), _BATCH):
            some = places[first : first + _BATCH]
            records = [read[place] for place in some]
            found += np.array(some)[_odd(records, size_hw)].tolist()
    return sorted(found)


def _odd(records: Sequence[Record], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether box or area differ from the mask's, which may be a pixel wider than its polygon."""
    masks = RunLengths.of([record["segmentation"]["counts"] for record in records])
    boxes, pixels = boxes_and_areas(masks, size_hw)
    nothing = [np.nan] * 4
    stated = np.array([_numbers(r.get("bbox")) or nothing for r in records], np.float64)
    of_records = [np.nan if (area := r.get("area")) is None else area for r in records]
    stated_areas = np.array(of_records, np.float64)
    far = np.maximum(PIXELS - 1, (SHARE - 0.02) * boxes[:, [2, 3]])
    start = np.abs(stated[:, :2] - boxes[:, :2])
    end = np.abs(stated[:, :2] + stated[:, 2:] - boxes[:, :2] - boxes[:, 2:])
    is_off = ((start > far) | (end > far)).any(axis=1)  # False where no box is stated
    most = (boxes[:, 2] + 1) * (boxes[:, 3] + 1)
    return is_off | (stated_areas > most) | (stated_areas < 0.6 * pixels) | (pixels <= 1)


def _numbers(bbox: Any) -> list[float] | None:
    return None if bbox is None or not len(bbox) else [float(value) for value in bbox]
