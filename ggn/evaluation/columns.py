"""Reads records of the usual form as unchecked columns; others are checked one by one elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ggn.evaluation import _overlaps
from ggn.evaluation.detections import NO_CATEGORY, Detections
from ggn.evaluation.run_lengths import RunLengths

_NUMBERS = [
    pa.field("image_id", pa.int64()),
    pa.field("category_id", pa.int64()),
    pa.field("score", pa.float64()),
    pa.field("bbox", pa.list_(pa.float64())),
]
_MASK = pa.struct([("size", pa.list_(pa.int64())), ("counts", pa.string())])


@dataclass(frozen=True)
class Columns:
    """N records whose values have the right types but may still be wrong."""

    detections: Detections
    sizes_hw: NDArray[np.int64] | None
    """(N, 2) height and width that the masks state; None if no mask was read."""


def schema(with_masks: bool) -> pa.Schema:
    """Return the columns that are read of a record; its other keys are ignored."""
    return pa.schema([*_NUMBERS, *([pa.field("segmentation", _MASK)] if with_masks else [])])


def from_records(records: Sequence[Any], *, with_masks: bool) -> Columns | None:
    """Return columns of plain lists, dicts and numbers; None if anything has another type."""
    try:
        values = _overlaps.columns([*records], with_masks, NO_CATEGORY)
    except OverflowError:
        return None
    if values is None:
        return None
    image_ids, scores, category_ids, boxes, counts, sizes_hw = values
    masks = RunLengths.of(counts if with_masks else [""] * len(records))
    detections = Detections(image_ids, scores, category_ids, boxes, masks)
    return Columns(detections, sizes_hw if with_masks else None)


def from_table(table: pa.Table, *, with_masks: bool) -> Columns | None:
    """Return columns of a table of `schema(with_masks)`; None if a required value is missing.

    A missing category or box reads as null.
    """
    if not len(table):
        return None
    image_id, category_id, score, bbox, *masks = (
        column.chunk(0) for column in table.combine_chunks().columns
    )
    numbers = _rows(bbox, 4)
    if image_id.null_count or score.null_count or numbers is None:
        return None
    read = _table_masks(masks[0]) if with_masks else (RunLengths.of([""] * len(table)), None)
    if read is None:
        return None
    boxes = np.full((len(table), 4), np.nan)
    boxes[bbox.is_valid().to_numpy(zero_copy_only=False)] = numbers
    categories = category_id.fill_null(NO_CATEGORY).to_numpy()
    lengths, sizes_hw = read
    detections = Detections(image_id.to_numpy(), score.to_numpy(), categories, boxes, lengths)
    return Columns(detections, sizes_hw)


def _rows(lists: Any, length: int) -> NDArray[Any] | None:
    """Return the values (M, length) of the lists present; None if one has another length."""
    there = lists.drop_null()
    values = there.flatten()
    if values.null_count or (there.value_lengths().to_numpy() != length).any():
        return None
    return np.asarray(values.to_numpy()).reshape(-1, length)


def _table_masks(masks: Any) -> tuple[RunLengths, NDArray[np.int64]] | None:
    """Return all masks and their sizes; None if one is missing."""
    counts, sizes = masks.field("counts"), _rows(masks.field("size"), 2)
    if masks.null_count or counts.null_count or sizes is None or len(sizes) != len(masks):
        return None
    return of_strings(counts), sizes


def of_strings(counts: Any) -> RunLengths:
    """Return the run lengths in an Arrow array of strings, without a copy."""
    _, offsets, memory = counts.buffers()
    every: NDArray[np.int32] = np.frombuffer(offsets, np.int32)
    ends = every[counts.offset : counts.offset + len(counts) + 1].astype(np.int64)
    return RunLengths(np.frombuffer(memory or b"", np.uint8), ends[:-1], np.diff(ends))
