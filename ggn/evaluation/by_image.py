"""Takes detections in any order, returns them by image; masks and boxes wait in a file."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ggn.core.faults import Mends
from ggn.evaluation.detections import Detections, best_first
from ggn.evaluation.run_lengths import RunLengths

_BOX = 4 * np.dtype(np.float64).itemsize  # bytes
_MIXING = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.int64)  # any odd numbers
_NEAR = 64  # records: a gap of fewer between two wanted records is read as well


class DetectionsByImage:
    """Collects checked detections, then reads them image by image.

    Memory holds 32 bytes per detection, and more while they are sorted. The rest is in unnamed
    files in the folder for temporary files (`TMPDIR`); the system removes them whenever the process
    ends.
    """

    def __init__(self) -> None:
        self._masks, self._boxes = _temporary(self), _temporary(self)
        self._columns: list[list[NDArray[np.int64]]] = [[], [], []]
        self._scores: list[NDArray[np.float64]] = []
        self._hashes: list[NDArray[np.int64]] = []
        self.all_have_boxes = True
        """Whether every detection so far states a box."""

    def add(self, detections: Detections) -> None:
        """Append detections of any images."""
        self._masks.write(detections.masks.packed())
        self._boxes.write(np.ascontiguousarray(detections.boxes_xywh).tobytes())
        self.all_have_boxes &= bool(detections.has_box.all())
        columns = (detections.image_ids, detections.category_ids, detections.masks.lengths)
        for column, values in zip(self._columns, columns, strict=True):
            column.append(values)
        self._scores.append(detections.scores)
        bits = np.ascontiguousarray(detections.boxes_xywh).view(np.int64)
        self._hashes.append(bits @ _MIXING + detections.masks.lengths)

    def whole(self, name: str, mends: Mends, warnings: Sequence[str] = ()) -> SortedByImage:
        """Return everything added; nothing can be added afterwards.

        Args:
            name: for messages.
            mends: what was mended in reading.
            warnings: sentences on why the numbers may mislead.
        """
        for file in (self._masks, self._boxes):
            file.flush()
        none = np.zeros(0, np.int64)
        image_ids, category_ids, lengths = (np.concatenate([none, *c]) for c in self._columns)
        scores = np.concatenate([np.zeros(0), *self._scores])
        self._columns, self._scores = [], []
        hashes = np.concatenate([none, *self._hashes])
        self._hashes = []
        found = SortedByImage(name, mends, self, image_ids, category_ids, lengths, scores)
        found.warnings = [*warnings, *found.repetitions(image_ids, hashes)]
        return found

    def read(self, records: NDArray[np.int64], offsets: NDArray[np.int64]) -> _Bytes:
        """Read boxes and masks of the records with these numbers, in any order."""
        ascending = np.sort(records)
        first = np.flatnonzero(np.diff(ascending, prepend=-_NEAR - 1) > _NEAR)
        last = np.append(first[1:], len(ascending)) - 1 if len(first) else first
        low, high = ascending[first], ascending[last] + 1
        run = np.searchsorted(low, records, side="right") - 1
        lengths, sizes = offsets[high] - offsets[low], high - low
        masks = _read(self._masks, offsets[low], lengths)
        boxes = _read(self._boxes, low * _BOX, sizes * _BOX).view(np.float64).reshape(-1, 4)
        starts = offsets[records] - (offsets[low] - np.cumsum(lengths) + lengths)[run]
        places = records - (low - np.cumsum(sizes) + sizes)[run]
        return boxes[places], RunLengths(masks, starts, offsets[records + 1] - offsets[records])


_Bytes = tuple[NDArray[np.float64], RunLengths]


class SortedByImage:
    """The detections of a `DetectionsByImage` by image; a `ggn.evaluation.detections.Predictions`.

    Within an image they keep the order in which they were added.
    """

    have_categories = True
    warnings: Sequence[str] = ()

    def __init__(
        self,
        name: str,
        mends: Mends,
        source: DetectionsByImage,
        image_ids: NDArray[np.int64],
        category_ids: NDArray[np.int64],
        lengths: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> None:
        self.name, self.mends, self._source = name, mends, source
        self._category_ids, self._scores = category_ids, scores
        self._offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._order = np.argsort(image_ids, kind="stable")
        self._image_ids, counts = np.unique(image_ids, return_counts=True)
        self._ends = np.cumsum(counts)

    @property
    def are_sized_by_box(self) -> bool:
        """Whether every detection states a box."""
        return self._source.all_have_boxes

    def __len__(self) -> int:
        return len(self._scores)

    def by_image(self, image_ids: Sequence[int], most: int) -> Iterator[Callable[[], Detections]]:
        """Yield functions that read each image's best detections, best first, on any thread."""
        for image_id in image_ids:
            yield partial(self._best, image_id, most)

    def repetitions(self, image_ids: NDArray[np.int64], hashes: NDArray[np.int64]) -> Iterator[str]:
        """Yield a sentence if detections are listed more than once, as by samplers that pad a set.

        Args:
            image_ids: (N,) of all detections in the order of the file.
            hashes: (N,) equal for equal boxes and masks.
        """
        keys = (self._category_ids, self._scores, hashes, image_ids)
        order = np.lexsort(keys)
        first, second = order[:-1], order[1:]
        alike = np.logical_and.reduce([key[first] == key[second] for key in keys])
        pairs = np.flatnonzero(alike)
        again = [pair for pair in pairs.tolist() if self._is_same(first[pair], second[pair])]
        if again:
            place = int(second[again].min())
            yield (
                f"{len(again)} detections are listed more than once, first predictions[{place}]; "
                "each counts towards the k detections per image"
            )

    def _is_same(self, first: np.int64, second: np.int64) -> bool:
        boxes, masks = self._source.read(np.array([first, second]), self._offsets)
        return np.array_equal(boxes[0], boxes[1], equal_nan=True) and (
            masks[:1].packed() == masks[1:].packed()
        )

    def _best(self, image_id: int, most: int) -> Detections:
        records = self._records(image_id)
        scores, category_ids = self._scores[records], self._category_ids[records]
        best = best_first(scores, category_ids, most)
        boxes, masks = self._source.read(records[best], self._offsets)
        return Detections(
            np.full(len(best), image_id, np.int64), scores[best], category_ids[best], boxes, masks
        )

    def _records(self, image_id: int) -> NDArray[np.int64]:
        """Numbers of the image's records, ascending."""
        place = int(np.searchsorted(self._image_ids, image_id))
        if place == len(self._image_ids) or self._image_ids[place] != image_id:
            return self._order[:0]
        begin = self._ends[place - 1] if place else 0
        return self._order[begin : self._ends[place]]


def _temporary(owner: object) -> IO[bytes]:
    """Return an unnamed file that is closed with its owner."""
    file = tempfile.TemporaryFile(prefix="ggn-")  # noqa: SIM115
    weakref.finalize(owner, file.close)
    return file


def _read(
    file: IO[bytes], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the bytes of several ranges, joined; threads may read at the same time."""
    stretches = zip(starts.tolist(), lengths.tolist(), strict=True)
    parts = [os.pread(file.fileno(), length, start) for start, length in stretches]
    if [len(part) for part in parts] != lengths.tolist():
        raise OSError("another program truncated the temporary file of the detections")
    return np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), np.uint8)
