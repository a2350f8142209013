"""Signatures of the compiled module; what each function computes is said in `_overlaps.hpp`."""

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def are_sound(counts: list[str], n_pixels: NDArray[np.int64]) -> NDArray[np.bool_]: ...
def mask_iou(
    detections: list[str], objects: list[str], crowd: NDArray[np.uint8], n_pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def match(
    iou: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    crowd: NDArray[np.uint8],
    present: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    takes_part: NDArray[np.uint8],
) -> NDArray[np.int32]: ...
