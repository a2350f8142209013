"""Greedy matching of one image's detections to its objects, as COCOeval does it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation import _overlaps

Bools = NDArray[np.bool_]

IOU_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Matches:
    """Outcome for V views, T IoU thresholds and D detections (best first).

    `found` is int32 (V, T, D): the object that the detection has found, -1 for none; `hit` is bool
    (V, T, D): it has found one that counts. `freed` is bool (V, D): at the lowest threshold it has
    found an object that frees its place.
    """

    found: NDArray[np.int32]
    hit: Bools
    freed: Bools

    @property
    def matched(self) -> Bools:
        """Whether the detection has found an object: (V, T, D)."""
        return np.asarray(self.found >= 0)


def box_iou_xywh(
    detections: NDArray[np.float64], objects: NDArray[np.float64], crowd: Bools
) -> NDArray[np.float64]:
    """IoU of boxes x, y, width, height, (D, 4) and (G, 4) to (D, G); 0 for empty boxes.

    In the columns of crowds the divisor is the detection's area instead of the union. The order of
    the floating-point operations is pycocotools', because an IoU may lie exactly on a threshold.
    """
    low = np.maximum(detections[:, None, :2], objects[None, :, :2])
    high = np.minimum(
        (detections[:, :2] + detections[:, 2:])[:, None],
        (objects[:, :2] + objects[:, 2:])[None],
    )
    sides = np.maximum(high - low, 0)
    intersection = sides[..., 0] * sides[..., 1]
    detection_area = (detections[:, 2] * detections[:, 3])[:, None]
    object_area = (objects[:, 2] * objects[:, 3])[None]
    union = np.where(crowd, detection_area, detection_area + object_area - intersection)
    iou: NDArray[np.float64] = np.zeros_like(intersection)
    np.divide(intersection, union, out=iou, where=intersection > 0)
    return iou


def match(
    iou: NDArray[np.float64],
    crowd: Bools,
    present: Bools,
    counted: Bools,
    frees: Bools,
    takes_part: Bools,
) -> Matches:
    """Match detections to objects in V views of an image at all IoU thresholds.

    In order of the detections, each takes the free object with the highest IoU at or above the
    threshold, the later one of equals; an object that counts goes before any that does not. Crowds
    stay free. A detection never gives an object back.

    Args:
        iou: (D, G), rows best detection first.
        crowd: (G,).
        present: (V, G) objects that exist in the view.
        counted: (V, G) objects whose match is a hit.
        frees: (V, G) objects whose match at the lowest threshold frees the detection's place.
        takes_part: (V, D) detections that exist in the view.
    """
    found = _overlaps.match(
        np.ascontiguousarray(iou),
        IOU_THRESHOLDS,
        crowd.view(np.uint8),
        np.ascontiguousarray(present).view(np.uint8),
        np.ascontiguousarray(counted).view(np.uint8),
        np.ascontiguousarray(takes_part).view(np.uint8),
    )
    view = np.arange(len(present))
    if not iou.shape[1]:
        return Matches(found, np.zeros(found.shape, bool), np.zeros(takes_part.shape, bool))
    hit = (found >= 0) & counted[view[:, None, None], found]
    freed = (found[:, 0] >= 0) & frees[view[:, None], found[:, 0]]
    return Matches(found, hit, freed)
