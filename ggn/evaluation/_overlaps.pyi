"""Signatures of the compiled module; what each function computes is said in the headers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCE_HASH: str

def are_sound(
    memory: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    n_pixels: NDArray[np.int64],
) -> NDArray[np.bool_]: ...
def boxes_and_areas(
    memory: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    height: int,
    width: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def mask_iou(
    memory: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    objects: list[str],
    crowd: NDArray[np.uint8],
    height: int,
    width: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def box_iou(
    boxes: NDArray[np.float64], objects: NDArray[np.float64], crowd: NDArray[np.uint8]
) -> NDArray[np.float64]: ...
def match(
    iou: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    crowd: NDArray[np.uint8],
    present: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    frees: NDArray[np.uint8],
    takes_part: NDArray[np.uint8],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int32]]: ...
def spend(
    matched: NDArray[np.uint16],
    hit: NDArray[np.uint16],
    freed: NDArray[np.uint8],
    takes_part: NDArray[np.uint8],
    holds_place: NDArray[np.uint8],
    excused: NDArray[np.uint8],
    budgets: NDArray[np.int64],
    n_thresholds: int,
    precision_budget: int,
    never: int,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.uint16],
    NDArray[np.uint16],
    NDArray[np.uint16],
]: ...
def separate(
    text: memoryview, after_comma: bool, lines: memoryview
) -> tuple[int, int, int, bool]: ...
def columns(
    records: list[Any], with_masks: bool, no_category: int
) -> (
    tuple[
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.int64],
        NDArray[np.float64],
        list[str],
        NDArray[np.int64],
    ]
    | None
): ...
