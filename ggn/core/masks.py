"""Binary masks as COCO run lengths: encoding, areas, boxes, overlaps and scaling."""

from collections.abc import Sequence
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

from ggn.core.segmentation import parse_rle, parse_segmentation

Value = TypeVar("Value", bound=np.generic)


class RLE(TypedDict):
    """A mask in COCO's compressed run-length encoding: column-major runs, background first."""

    size: list[int]
    """[height, width]"""
    counts: str
    """ASCII"""


def encode(bitmaps: ArrayLike) -> list[RLE]:
    """Return the RLEs of (N, H, W) bool or integer bitmaps; nonzero pixels are inside."""
    bitmaps = np.asarray(bitmaps)
    if bitmaps.ndim != 3 or bitmaps.dtype.kind not in "bui":
        got = f"{bitmaps.dtype} {bitmaps.shape}"
        raise ValueError(f"bitmaps must be bool or integer (N, H, W), got {got}")
    if len(bitmaps) == 0:
        return []
    columns = np.asfortranarray((bitmaps != 0).transpose(1, 2, 0), dtype=np.uint8)
    return [_as_text(rle) for rle in coco_mask.encode(columns)]


def decode(rles: Sequence[RLE], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the 0/1 bitmaps (N, H, W) of RLEs.

    pycocotools is not used: its decoder warns under NumPy 2 and trusts its input.

    Raises:
        ValueError: an RLE is malformed, or does not have the size `size_hw`.
    """
    require_size(rles, size_hw)
    height, width = size_hw
    bitmaps = np.empty((len(rles), height, width), dtype=np.uint8)
    for bitmap, rle in zip(bitmaps, rles, strict=True):
        runs = parse_rle(rle, size_hw)
        inside = (np.arange(runs.size) % 2).astype(np.uint8)
        bitmap[:] = np.repeat(inside, runs).reshape(width, height).T
    return bitmaps


def require_size(rles: Sequence[RLE], size_hw: tuple[int, int]) -> None:
    """Raise ValueError unless every RLE has the size (height, width)."""
    for index, rle in enumerate(rles):
        if tuple(rle["size"]) != tuple(size_hw):
            raise ValueError(
                f"mask {index} must have the size (height, width) = {tuple(size_hw)}, "
                f"got {tuple(rle['size'])}"
            )


def from_segmentation(
    segmentation: Any, size_hw: tuple[int, int], mended: list[str] | None = None
) -> RLE:
    """Return the mask of a COCO segmentation: polygons, uncompressed or compressed RLE.

    Polygons are drawn as pycocotools draws them, and united. The input is checked first, so any
    input is safe.

    Args:
        segmentation: as in a COCO annotation or result.
        size_hw: height and width of the image.
        mended: as in `ggn.core.segmentation.parse_segmentation`; polygons are cut off at the border
            of the image.

    Raises:
        ValueError: the segmentation is malformed or of another size; with the reason.
    """
    parsed = parse_segmentation(segmentation, size_hw, mended)
    height, width = size_hw
    if isinstance(parsed, list):
        polygons = [polygon.ravel() for polygon in parsed]
        return _as_text(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))
    runs = {"size": [height, width], "counts": parsed}
    rle = _as_text(coco_mask.frPyObjects(runs, height, width))
    if (parsed[1:] == 0).any():  # valid, but pycocotools then misplaces the box
        return encode(decode([rle], size_hw))[0]
    return rle


def from_runs(counts: list[int], size_hw: tuple[int, int]) -> RLE:
    """Return the mask of uncompressed run lengths, column-major, background first."""
    return from_segmentation({"size": list(size_hw), "counts": counts}, size_hw)


def areas(rles: Sequence[RLE]) -> NDArray[np.float64]:
    """Return the number of pixels of each mask, (N,)."""
    # one by one: pycocotools 2.0 refuses more than 255 masks under NumPy 2
    return np.array([coco_mask.area(rle) for rle in rles], dtype=np.float64)


def boxes_xyxy(rles: Sequence[RLE]) -> NDArray[np.float32]:
    """Return the tight boxes (N, 4) in pixel edges: a mask of one pixel has a box of side 1.

    The box of an empty mask is (0, 0, 0, 0).
    """
    boxes = boxes_xywh(rles).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def boxes_xywh(rles: Sequence[RLE]) -> NDArray[np.float64]:
    """Return the tight boxes (N, 4) as COCO has them: left, top, width, height."""
    if not rles:
        return np.zeros((0, 4))
    return np.asarray(coco_mask.toBbox(list(rles)), dtype=np.float64)


def area_and_box(rle: RLE) -> dict[str, Any]:
    """Return what COCO derives from a mask: `area` in pixels and `bbox`, [x, y, width, height]."""
    return {"area": float(areas([rle])[0]), "bbox": boxes_xywh([rle])[0].tolist()}


def mask_iou(
    a: Sequence[RLE], b: Sequence[RLE], crowd: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the intersection over union (Na, Nb) of all pairs of masks.

    Args:
        a: masks, detections in an evaluation.
        b: masks of the same size, annotations in an evaluation.
        crowd: bool (Nb,); for a crowd, COCO divides by the area of the mask of `a` alone.
    """
    crowd = _crowd_flags(crowd, len(b))
    if not a or not b:
        return np.zeros((len(a), len(b)))
    require_size([*a, *b], (a[0]["size"][0], a[0]["size"][1]))
    return np.asarray(coco_mask.iou(list(a), list(b), crowd), dtype=np.float64)


def union(rles: Sequence[RLE]) -> RLE:
    """Return the union of one or more masks of the same size."""
    if len(rles) == 1:
        return rles[0]
    return _as_text(coco_mask.merge(list(rles)))


def resize(rle: RLE, size_hw: tuple[int, int]) -> RLE:
    """Return the mask scaled to (height, width), nearest neighbour by pixel centres."""
    height, width = rle["size"]
    return encode(sample(decode([rle], (height, width))[0], size_hw)[None])[0]


def sample(values: NDArray[Value], size_hw: tuple[int, int]) -> NDArray[Value]:
    """Return values (H, W) scaled to (height, width), nearest neighbour by pixel centres."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size_hw, values.shape, strict=True)
    )
    return values[np.ix_(rows, columns)]


def _as_text(rle: dict[str, Any]) -> RLE:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _crowd_flags(crowd: ArrayLike | None, count: int) -> list[int]:
    flags = np.zeros(count, dtype=bool) if crowd is None else np.asarray(crowd, dtype=bool)
    if flags.shape != (count,):
        raise ValueError(f"crowd must be ({count},), got {flags.shape}")
    return [int(flag) for flag in flags]
