"""A quick check of many compressed masks at once, and their overlaps; the work is done in C++."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import RLE
from ggn.evaluation import _overlaps

Bools = NDArray[np.bool_]

SOURCES = ("_overlaps.hpp", "_overlaps.pyx")


def are_sound(counts: Sequence[str], n_pixels: Sequence[int]) -> Bools:
    """Whether the run lengths surely describe masks of that many pixels, (N,).

    What is not surely sound may be valid all the same, for instance with runs of no pixels:
    `ggn.core.masks.from_segmentation` tells, and why not.

    Args:
        counts: COCO's compressed run lengths.
        n_pixels: height times width of each mask.
    """
    return _overlaps.are_sound(list(counts), np.asarray(n_pixels, np.int64).reshape(-1))


def iou_and_areas(
    detections: Sequence[RLE], objects: Sequence[RLE], crowd: Bools
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU (D, G) of masks of one size, and the areas (D,) of the detections in pixels.

    In the columns of crowds (G,) the divisor is the detection's area instead of the union. The
    numbers are those of `ggn.core.masks.mask_iou`.
    """
    masks = [*detections, *objects]
    height, width = masks[0]["size"] if masks else (0, 0)
    return _overlaps.mask_iou(
        [mask["counts"] for mask in detections],
        [mask["counts"] for mask in objects],
        crowd.astype(np.uint8),
        height * width,
    )


def _refuse_stale_build() -> None:
    """Editing a source without building again would set new source beside old results."""
    folder = Path(__file__).parent
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SOURCES]
    if hashlib.sha256("".join(hashes).encode()).hexdigest() != _overlaps.SOURCE_HASH:
        raise RuntimeError(
            f"one of {', '.join(SOURCES)} in {folder} changed after it was built: run `make setup`,"
            " or `make docker-build` for the image"
        )


_refuse_stale_build()
