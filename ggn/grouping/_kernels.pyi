"""Signatures of the compiled kernel; what each function computes is said in the headers."""

import numpy as np
from numpy.typing import NDArray

UNIT: int
SOURCE_HASH: str

def quantise(affinity: NDArray[np.float32]) -> tuple[NDArray[np.int16], int]: ...
def find_seeds(affinity: NDArray[np.int16], radius: int) -> tuple[NDArray[np.int32], int]: ...
def watershed(affinity: NDArray[np.int16], markers: NDArray[np.int32]) -> NDArray[np.int32]: ...
def smooth_triangle(image: NDArray[np.int16]) -> NDArray[np.int32]: ...
def find_arcs(
    affinity: NDArray[np.int16], labels: NDArray[np.int32], smooth: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def merge(
    regions: int,
    ends: NDArray[np.int32],
    strength: NDArray[np.int64],
    length: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]: ...
def sum_regions(
    affinity: NDArray[np.int16], labels: NDArray[np.int32], regions: int
) -> NDArray[np.int64]: ...
def link_regions(
    affinity: NDArray[np.int16],
    labels: NDArray[np.int32],
    table: NDArray[np.float64],
    regions: int,
    ends: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def sum_places(labels: NDArray[np.int32], regions: int) -> NDArray[np.int64]: ...
def sum_inner_outlines(
    affinity: NDArray[np.int16],
    labels: NDArray[np.int32],
    nodes: int,
    ends: NDArray[np.int32],
    merged_at: NDArray[np.int32],
) -> NDArray[np.int64]: ...
def accumulate(parents: NDArray[np.int32], values: NDArray[np.int64]) -> NDArray[np.int64]: ...
def suppress(
    order: NDArray[np.int32],
    parents: NDArray[np.int32],
    areas: NDArray[np.int64],
    iou_threshold: float,
    limit: int,
) -> NDArray[np.int32]: ...
def encode_nodes(
    labels: NDArray[np.int32], parents: NDArray[np.int32], chosen: NDArray[np.int32]
) -> list[str]: ...
