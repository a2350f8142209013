"""Reads predictions from a store, from a COCO results file of any size, or from records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ggn.core.coco import CocoError, Fault
from ggn.core.faults import Mends
from ggn.evaluation.by_image import DetectionsByImage
from ggn.evaluation.columns import from_records
from ggn.evaluation.detections import Detections, Predictions
from ggn.evaluation.object_shapes import Record
from ggn.evaluation.order import in_order
from ggn.evaluation.other_results import misnamed
from ggn.evaluation.plausibility import Plausibility
from ggn.evaluation.records import PredictionCheck, mends_of_file, not_a_list
from ggn.evaluation.results_file import first_record, read_pieces, states_mask
from ggn.evaluation.stored import StoredPredictions

_BATCH = 4096  # records of a list that become columns together

Checked = tuple[Detections, list[Fault], Mends]


def read_predictions(
    predictions: Path | str | Sequence[Record], check: PredictionCheck
) -> Predictions:
    """Check predictions and sort them by image.

    Args:
        predictions: the folder of a store, a COCO results file, or the records of one.
        check: checks the records.

    Raises:
        CocoError: naming file, record, key and what is allowed, for every fault.
        FileNotFoundError: no such file.
    """
    if isinstance(predictions, Path | str) and Path(predictions).is_dir():
        return StoredPredictions(Path(predictions), check.images)
    if isinstance(predictions, Path | str):
        parts = _of_file(Path(predictions), check)
    elif isinstance(predictions, list | tuple):
        parts = _of_records(predictions, check)
    else:
        raise CocoError([not_a_list(check.file, "predictions", predictions)])
    collected, faults = DetectionsByImage(), []
    mends = mends_of_file(predictions, strict=check.is_strict)
    plausibility = Plausibility()
    for detections, its_faults, its_mends in in_order(parts):
        faults += its_faults
        mends.join(its_mends)
        if not faults:
            collected.add(detections)
            plausibility.add(detections, check.images)
    if faults:
        raise CocoError(faults)
    warnings = [*plausibility.warnings(), *misnamed(_first_records(predictions), check.images)]
    found = collected.whole(check.file, mends, warnings)
    if check.is_strict and found.warnings:
        raise CocoError([Fault(check.file, "predictions", it) for it in found.warnings])
    return found


def _first_records(predictions: Path | str | Sequence[Record]) -> Sequence[Record]:
    """Return the first records of results, as many as are checked for the names of their files."""
    if not isinstance(predictions, Path | str):
        return predictions[:_BATCH]
    first = first_record(Path(predictions))
    named = isinstance(first, Mapping) and "file_name" in first
    return next(read_pieces(Path(predictions))).records() if named else ()


def have_masks(predictions: Path) -> bool:
    """Whether predictions have masks: a store always, a results file if any record has one.

    A file without records counts as having masks. An empty segmentation is not a mask.

    Raises:
        FileNotFoundError: no such file.
        CocoError: the file is not JSON, or is not a list.
    """
    if predictions.is_dir():
        return True
    return first_record(predictions) is None or states_mask(predictions)


def _of_file(path: Path, check: PredictionCheck) -> Iterator[Callable[[], Checked]]:
    for piece in read_pieces(path):
        yield partial(piece.detections, check)


def _of_records(
    records: Sequence[Record], check: PredictionCheck
) -> Iterator[Callable[[], Checked]]:
    for first in range(0, len(records), _BATCH):
        yield partial(_batch, records[first : first + _BATCH], first, check)


def _batch(records: Sequence[Record], first: int, check: PredictionCheck) -> Checked:
    columns = from_records(records, with_masks=check.compares_masks)
    if columns is not None and check.are_sound(columns):
        return columns.detections, [], Mends()
    checked, faults, mends = check.records(records, first)
    return Detections.of(checked, with_masks=check.compares_masks), faults, mends
