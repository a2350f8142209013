"""Finds objects that are listed twice with different values: as a polygon and as run lengths.

Tools draw the same outline a little differently. Only objects of one image whose boxes agree are
compared by their masks, each with the first 8 of those before it, so that a dataset costs a sort.
Where nine objects in one place all differ, a tenth that repeats the ninth is not noticed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ggn.core.agreement import PIXELS
from ggn.core.masks import RLE, areas, boxes_xywh, from_segmentation, mask_iou
from ggn.core.objects import crowd_value

SAME_IOU: Final = 0.95
"""Masks with at least this IoU are the same object."""
BORDERED_IOU: Final = 0.75
"""So are masks with at least this IoU, if one is the other with a border of a pixel."""

_MOST_NEAR: Final = 256  # boxes of one image that begin in the same columns
_MOST_COMPARED: Final = 8  # masks that one mask is compared with

Record = Mapping[str, Any]
Pair = tuple[int, int]


def same_objects(objects: Sequence[Record | None], sizes_hw: Mapping[int, Any]) -> Iterator[Pair]:
    """Yield the positions (later, earlier) of objects that are the same, by the later one.

    Their categories may differ, except those of crowds. Crowds and single objects are never the
    same. Of the earlier ones, the first of the same category is yielded, or else the first. An
    object is compared with at most 8 earlier ones, the first in the file whose boxes agree.

    Args:
        objects: each with `image_id`, `category_id`, `segmentation` and `bbox` (x, y, width,
            height); those without box, or with a malformed mask, are not compared. None: left out.
        sizes_hw: height and width of the images, by id.
    """
    positions = [i for i, record in enumerate(objects) if _is_placed(record, sizes_hw)]
    placed = [record for record in (objects[i] for i in positions) if record is not None]
    boxes = np.array([record["bbox"] for record in placed], np.float64).reshape(-1, 4)
    image_ids = np.array([record["image_id"] for record in placed], np.int64)
    near: dict[int, list[int]] = {}
    for later, earlier in near_boxes(image_ids, boxes):
        near.setdefault(later, []).append(earlier)
    for later, others in near.items():
        record, mask = placed[later], _mask(placed[later], sizes_hw)
        alike = [other for other in others if _may_be_same(record, placed[other])]
        same = [
            other
            for other in alike[:_MOST_COMPARED]
            if mask is not None and are_same(mask, _mask(placed[other], sizes_hw))
        ]
        if same:
            category = record["category_id"]
            first = next((o for o in same if placed[o]["category_id"] == category), same[0])
            yield positions[later], positions[first]


def near_boxes(image_ids: NDArray[np.int64], boxes: NDArray[np.float64]) -> list[Pair]:
    """Return the pairs (later, earlier) of boxes of an image whose edges differ by `PIXELS`.

    Args:
        image_ids: (N,)
        boxes: (N, 4), x, y, width, height.

    Returns:
        Sorted by the later, then the earlier. Where more than 256 boxes of an image begin within
        `PIXELS` of the same column, not all are compared.
    """
    edges = boxes.copy()
    edges[:, 2:] += edges[:, :2]
    order = np.lexsort((edges[:, 0], image_ids))
    edges, ids = edges[order], image_ids[order]
    found = []
    at = np.arange(len(order))
    for step in range(1, _MOST_NEAR + 1):
        at = at[at + step < len(order)]
        ahead = at + step
        at = at[(ids[at] == ids[ahead]) & (edges[ahead, 0] - edges[at, 0] <= PIXELS)]
        if not at.size:
            break
        close = at[(np.abs(edges[at + step] - edges[at]) <= PIXELS).all(axis=1)]
        found.append(np.sort(order[np.stack([close, close + step], axis=1)], axis=1)[:, ::-1])
    pairs = np.concatenate(found) if found else np.zeros((0, 2), np.int64)
    return [(int(later), int(earlier)) for later, earlier in sorted(pairs.tolist())]


def are_same(mask: RLE, other: RLE | None) -> bool:
    """Tell whether two masks of an image are the same object, drawn by different programs.

    They are if their IoU is `SAME_IOU`, or `BORDERED_IOU` if one contains the other and has no more
    pixels in addition than a border along half of its box: some programs fill the outline, too.
    """
    if other is None:
        return False
    overlap = float(mask_iou([mask], [other])[0, 0])
    if overlap >= SAME_IOU or overlap < BORDERED_IOU:
        return overlap >= SAME_IOU
    small, large = sorted(areas([mask, other]))
    shared = overlap * (small + large) / (1 + overlap)
    border = float(boxes_xywh([mask, other])[:, 2:].sum(axis=1).max()) + 1
    return bool(shared > small - 0.5 and large - small <= border)


def _is_placed(record: Record | None, sizes_hw: Mapping[int, Any]) -> bool:
    if record is None:
        return False
    bbox = record.get("bbox")
    return (
        bool(record.get("segmentation"))
        and sizes_hw.get(record["image_id"]) is not None
        and isinstance(bbox, list | tuple | np.ndarray)
        and len(bbox) == 4
    )


def _may_be_same(record: Record, other: Record) -> bool:
    crowds = {bool(crowd_value(item.get("iscrowd"))) for item in (record, other)}
    return crowds == {False} or (crowds == {True} and record["category_id"] == other["category_id"])


def _mask(record: Record, sizes_hw: Mapping[int, Any]) -> RLE | None:
    try:
        return from_segmentation(record["segmentation"], sizes_hw[record["image_id"]], [])
    except ValueError:
        return None
