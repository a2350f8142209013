"""The object instances found in an image: what stages pass on to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload
from warnings import catch_warnings, filterwarnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ggn.core import masks as rle_masks
from ggn.core.masks import RLE
from ggn.core.polygons import polygons

if TYPE_CHECKING:
    from pandas import DataFrame
    from supervision import Detections


@dataclass(frozen=True)
class Instance:
    """One instance of an image."""

    mask: RLE
    """Run-length encoded mask, of the image's size."""
    score: float
    """Higher is better."""
    box_xyxy: tuple[float, float, float, float]
    """Tight box in pixel edges."""

    @property
    def image_size_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        height, width = self.mask["size"]
        return height, width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(rle_masks.areas([self.mask])[0])

    def bitmap(self) -> NDArray[np.uint8]:
        """Return the mask as a 0/1 bitmap (H, W)."""
        bitmap: NDArray[np.uint8] = rle_masks.decode([self.mask], self.image_size_hw)[0]
        return bitmap

    def polygons(self) -> list[NDArray[np.int64]]:
        """Return the mask as polygons; see `ggn.core.polygons.polygons`."""
        return polygons(self.bitmap())


@dataclass(frozen=True, eq=False, repr=False)
class Instances:
    """Masks and scores of the instances of one image.

    `instances[3]` and iteration give an `Instance`. A slice, an array of indices or a bool array
    gives the chosen `Instances`.

    Raises:
        ValueError: the masks do not have the image's size, or the scores are not finite or not as
            many as the masks.
    """

    masks: list[RLE]
    """N run-length encoded masks, of the image's size."""
    scores: NDArray[np.float32]
    """(N,), finite; higher is better."""
    image_size_hw: tuple[int, int]
    """Height and width in pixels."""

    def __post_init__(self) -> None:
        height, width = self.image_size_hw
        if height < 1 or width < 1:
            raise ValueError(f"image_size_hw must be positive, got {self.image_size_hw}")
        object.__setattr__(self, "image_size_hw", (int(height), int(width)))
        object.__setattr__(self, "masks", list(self.masks))
        object.__setattr__(self, "scores", np.array(self.scores, dtype=np.float32))
        if self.scores.shape != (len(self.masks),):
            raise ValueError(f"scores must be ({len(self.masks)},), got {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            index = int(np.flatnonzero(~np.isfinite(self.scores))[0])
            raise ValueError(f"scores must be finite, got {self.scores[index]} at {index}")
        rle_masks.require_size(self.masks, self.image_size_hw)

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        height, width = self.image_size_hw
        masks = f"{len(self)} mask{'' if len(self) == 1 else 's'} of {height}×{width}"
        if not len(self):
            return f"Instances({masks})"
        low, high = f"{self.scores.min():.2f}", f"{self.scores.max():.2f}"
        return f"Instances({masks}, {f'scores {low}–{high}' if len(self) > 1 else f'score {low}'})"

    def __iter__(self) -> Iterator[Instance]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Instance: ...

    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Self: ...

    def __getitem__(
        self, key: int | np.integer[Any] | slice | Sequence[int] | NDArray[Any]
    ) -> Instance | Self:
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            x1, y1, x2, y2 = self.boxes_xyxy[key].tolist()
            return Instance(self.masks[key], float(self.scores[key]), (x1, y1, x2, y2))
        chosen = np.arange(len(self))[_selection(key)]
        return type(self)([self.masks[i] for i in chosen], self.scores[chosen], self.image_size_hw)

    @cached_property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """Tight boxes (N, 4) in pixel edges, read-only."""
        boxes = rle_masks.boxes_xyxy(self.masks)
        boxes.flags.writeable = False
        return boxes

    def resized(self, size_hw: tuple[int, int]) -> Self:
        """Return the instances scaled to an image of (height, width), nearest neighbour."""
        if self.image_size_hw == size_hw:
            return self
        masks = [rle_masks.resize(mask, size_hw) for mask in self.masks]
        return type(self)(masks, self.scores, size_hw)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Number of pixels of each mask, (N,)."""
        return rle_masks.areas(self.masks)

    def bitmaps(self) -> NDArray[np.uint8]:
        """Return the masks as 0/1 bitmaps (N, H, W)."""
        return rle_masks.decode(self.masks, self.image_size_hw)

    def polygons(self) -> list[list[NDArray[np.int64]]]:
        """Return the polygons of each mask; see `ggn.core.polygons.polygons`."""
        return [instance.polygons() for instance in self]

    @classmethod
    def empty(cls, size_hw: tuple[int, int]) -> Self:
        """Return an empty `Instances` for an image of (height, width)."""
        return cls([], np.zeros(0, dtype=np.float32), size_hw)

    @classmethod
    def from_counts(
        cls, counts: Sequence[str], scores: ArrayLike, size_hw: tuple[int, int]
    ) -> Self:
        """Return the instances of compressed COCO run lengths with their scores (N,)."""
        masks: list[RLE] = [{"size": list(size_hw), "counts": text} for text in counts]
        return cls(masks, np.asarray(scores, dtype=np.float32), size_hw)

    @classmethod
    def from_bitmaps(cls, bitmaps: ArrayLike, scores: ArrayLike) -> Self:
        """Return the instances of bool or integer bitmaps (N, H, W) with their scores (N,)."""
        bitmaps = np.asarray(bitmaps)
        masks = rle_masks.encode(bitmaps)
        return cls(masks, np.asarray(scores), (bitmaps.shape[1], bitmaps.shape[2]))

    def to_coco_results(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """Return COCO result records: `bbox` is [x, y, width, height], `area` counts pixels."""
        boxes = rle_masks.boxes_xywh(self.masks)
        return [
            {
                "image_id": image_id,
                "category_id": category_id,
                "segmentation": mask,
                "bbox": box,
                "area": area,
                "score": score,
            }
            for mask, box, area, score in zip(
                self.masks, boxes.tolist(), self.areas.tolist(), self.scores.tolist(), strict=True
            )
        ]

    @classmethod
    def from_coco_results(
        cls, records: Iterable[Mapping[str, Any]], size_hw: tuple[int, int]
    ) -> Self:
        """Return the instances of COCO result records of one image, in their order.

        Raises:
            ValueError: a record's segmentation is malformed or of another size; with its index.
        """
        masks, scores = [], []
        for index, record in enumerate(records):
            try:
                masks.append(rle_masks.from_segmentation(record["segmentation"], size_hw))
            except ValueError as error:
                raise ValueError(f"record {index}: {error}") from error
            scores.append(record["score"])
        return cls(masks, np.array(scores, dtype=np.float32), size_hw)

    def to_pandas(self) -> DataFrame:
        """Return a frame with a row per instance: score, area, x_min, y_min, x_max, y_max, mask.

        Coordinates are pixel edges; masks are run-length encoded.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas as pd

        boxes = pd.DataFrame(self.boxes_xyxy.copy(), columns=["x_min", "y_min", "x_max", "y_max"])
        boxes.insert(0, "score", self.scores)
        boxes.insert(1, "area", self.areas.astype(np.int64))
        boxes["mask"] = pd.Series(self.masks, dtype=object)
        return boxes

    def to_supervision(self) -> Detections:
        """Return supervision's Detections: `xyxy`, `mask` (bool), `confidence`, `class_id` 0.

        Raises:
            ModuleNotFoundError: supervision is not installed.
        """
        with catch_warnings():  # that drawing is slower without OpenCV
            filterwarnings("ignore", message="OpenCV")
            from supervision import Detections

        return Detections(
            xyxy=self.boxes_xyxy.copy(),
            mask=self.bitmaps().astype(bool),
            confidence=self.scores.copy(),
            class_id=np.zeros(len(self), dtype=np.int64),
        )

    @classmethod
    def from_supervision(
        cls, detections: Detections, size_hw: tuple[int, int] | None = None
    ) -> Self:
        """Return the instances of supervision's Detections; without `confidence`, scores are 1.

        Args:
            detections: of one image.
            size_hw: height and width of the image; needed only if there are no detections.

        Raises:
            ValueError: the detections have boxes but no masks, or the size is not known.
        """
        if detections.mask is None or not len(detections):
            if len(detections):
                raise ValueError(f"the {len(detections)} detections have no masks, only boxes")
            if size_hw is None:
                raise ValueError("there are no detections: size_hw must be given")
            return cls.empty(size_hw)
        given = detections.confidence
        masks = rle_masks.encode(np.asarray(detections.mask))
        size_hw = size_hw or (masks[0]["size"][0], masks[0]["size"][1])
        scores = np.ones(len(masks)) if given is None else given
        return cls(masks, scores.astype(np.float32), size_hw)


def _selection(key: Any) -> Any:
    """Return a slice as it is, anything else as a 1-d array of indices or bools."""
    if isinstance(key, slice):
        return key
    array = np.asarray(key)
    if array.ndim != 1:
        raise TypeError(f"index with a number, a slice or a 1-d array, got {key!r}")
    return array if array.size else array.astype(np.int64)
