"""Predictions from a store: Parquet shards with one row per image, read during the evaluation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ggn.core.coco import CocoError, Fault
from ggn.core.faults import Mends
from ggn.evaluation.columns import of_strings
from ggn.evaluation.detections import NO_CATEGORY, Detections, best_first
from ggn.evaluation.image_records import Images

COLUMNS = ("image_id", "height", "width", "counts", "scores")
"""Columns: id and size of the image, compressed run lengths and scores of its masks."""

_ROWS = 16  # read together; bounds the memory


class StoredPredictions:
    """A store of masks, read image by image; a `ggn.evaluation.detections.Predictions`.

    A detection's box is that of its mask. Categories are not stored.

    Raises:
        CocoError: the folder is not a store, a shard is damaged, or its images are not those of
            the annotations.
    """

    are_sized_by_box = True
    have_categories = False

    def __init__(self, folder: Path, images: Images) -> None:
        self.name, self.mends = str(folder), Mends()  # a store needs no mending
        self.warnings: Sequence[str] = ()
        self._folder, self._images = folder, images
        self._paths = sorted(folder.glob("shard-*.parquet"))
        if not self._paths:
            raise CocoError([_fault(folder, "has no shards, so it is not a store")])
        self._require_images()

    def by_image(self, image_ids: Sequence[int], most: int) -> Iterator[Callable[[], Detections]]:
        """Yield functions that take each image's best detections, at most `most`, on any thread.

        Raises:
            CocoError: a shard is damaged.
        """
        rows = self._rows()
        for image_id in image_ids:
            path, batch, row = next(rows)
            yield partial(self._best, path, batch, row, image_id, most)

    def _require_images(self) -> None:
        faults, last = [], None
        stored: list[int] = []
        for path in self._paths:
            for batch in _batches(path, ["image_id"]):
                stored += batch.column(0).to_pylist()
        for image_id in stored:
            if last is not None and image_id <= last:
                faults.append(_fault(self._folder, f"image {image_id} comes after image {last}"))
            elif image_id not in self._images.ids:
                faults.append(
                    _fault(self._folder, f"image {image_id} is not an image of the annotations")
                )
            last = image_id
        for image_id in sorted(self._images.ids.difference(stored)):
            reason = f"has no row for image {image_id} of the annotations"
            faults.append(_fault(self._folder, reason))
        if faults:
            raise CocoError(faults)

    def _rows(self) -> Iterator[tuple[Path, Any, int]]:
        for path in self._paths:
            for batch in _batches(path, list(COLUMNS)):
                for row in range(batch.num_rows):
                    yield path, batch, row

    def _best(self, path: Path, batch: Any, row: int, image_id: int, most: int) -> Detections:
        _, height, width, counts, scores = (column[row] for column in batch.columns)
        size_hw, annotated = (height.as_py(), width.as_py()), self._images.sizes_hw.get(image_id)
        if annotated not in (None, size_hw):
            reason = f"masks are {size_hw} (height, width), but the annotated image is {annotated}"
            raise CocoError([_fault(path, reason, image_id)])
        masks = of_strings(counts.values)
        values = np.asarray(scores.values.to_numpy(zero_copy_only=False), np.float64)
        if len(values) != len(masks) or not np.isfinite(values).all():
            raise CocoError([_fault(path, "must have a finite score for each mask", image_id)])
        best = best_first(values, np.full(len(values), NO_CATEGORY), most)
        return Detections(
            np.full(len(best), image_id, np.int64),
            values[best],
            np.full(len(best), NO_CATEGORY),
            np.full((len(best), 4), np.nan),
            masks[best],
        )


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            if missing := [name for name in COLUMNS if name not in file.schema_arrow.names]:
                raise CocoError([_fault(path, f"has no column {missing[0]}")])
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                yield batch.select(columns)
    except (pa.ArrowException, OSError) as error:
        raise CocoError([_fault(path, f"is damaged: {error}")]) from error


def _fault(path: Path, reason: str, image_id: int | None = None) -> Fault:
    return Fault(str(path), "store" if image_id is None else f"image {image_id}", reason)
