"""Greedy matching of one image's detections to its objects, as COCOeval does it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation import _overlaps

Bools = NDArray[np.bool_]

IOU_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Matches:
    """Outcome for V views, T IoU thresholds, G objects and D detections (best first).

    In sets of thresholds, bit t is the t-th threshold.
    """

    matched_at: NDArray[np.uint16]
    """(V, D) where the detection has found an object."""
    hit_at: NDArray[np.uint16]
    """(V, D) where it has found one that counts."""
    freed: Bools
    """(V, D) whether at the lowest threshold it has found an object that frees its place."""
    taker: NDArray[np.int32]
    """(V, T, G) the detection that has found the object (a crowd: the last one); -1 for none."""

    @property
    def hit(self) -> Bools:
        """Whether the detection has found an object that counts: (V, T, D)."""
        return at_thresholds(self.hit_at)


def at_thresholds(sets: NDArray[np.uint16]) -> Bools:
    """Return for sets (V, D) of thresholds whether each is in them: (V, T, D)."""
    thresholds = np.arange(len(IOU_THRESHOLDS), dtype=np.uint16)[:, None]
    return np.asarray(sets[:, None] >> thresholds & 1 == 1)


def box_iou_xywh(
    detections: NDArray[np.float64], objects: NDArray[np.float64], crowd: Bools
) -> NDArray[np.float64]:
    """Return the IoU (D, G) of boxes x, y, width, height, (D, 4) and (G, 4); 0 for empty boxes.

    In the columns of crowds the divisor is the detection's area instead of the union. The order of
    the floating-point operations is pycocotools', because an IoU may lie exactly on a threshold.
    """
    return _overlaps.box_iou(
        np.ascontiguousarray(detections, np.float64),
        np.ascontiguousarray(objects, np.float64),
        crowd.view(np.uint8),
    )


def match(
    iou: NDArray[np.float64],
    crowd: Bools,
    present: Bools,
    counted: Bools,
    frees: Bools,
    takes_part: Bools,
) -> Matches:
    """Match detections to objects in V views of an image at all IoU thresholds.

    In order, each detection takes the free object with the highest IoU at or above the threshold,
    the later one if there are equals. Objects that count take precedence over those that don't.
    Crowds stay free. A detection never gives an object back.

    Args:
        iou: (D, G), rows best detection first.
        crowd: (G,).
        present: (V, G) objects that exist in the view.
        counted: (V, G) objects whose match is a hit.
        frees: (V, G) objects whose match at the lowest threshold frees the detection's place.
        takes_part: (V, D) detections that exist in the view.
    """
    return Matches(
        *_overlaps.match(
            np.ascontiguousarray(iou),
            IOU_THRESHOLDS,
            crowd.view(np.uint8),
            *(as_bytes(flags) for flags in (present, counted, frees, takes_part)),
        )
    )


def as_bytes(flags: Bools) -> NDArray[np.uint8]:
    """Return the flags in the type that the kernels take."""
    return np.ascontiguousarray(flags).view(np.uint8)
