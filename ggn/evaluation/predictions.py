"""Predictions from where they are: a COCO results file of any size, or records."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ggn.core.coco import CocoError, Fault
from ggn.evaluation.by_image import DetectionsByImage
from ggn.evaluation.detections import Detections, Predictions
from ggn.evaluation.order import in_order
from ggn.evaluation.records import PredictionCheck, Record, not_a_list
from ggn.evaluation.results_file import first_record, read_pieces

_BATCH = 4096  # records of a list that become columns together

Checked = tuple[Detections, list[Fault]]


def read_predictions(
    predictions: Path | str | Sequence[Record], check: PredictionCheck
) -> Predictions:
    """Check predictions and sort them by image.

    Args:
        predictions: a COCO results file, or the records of one.
        check: what a record must hold.

    Raises:
        CocoError: naming file, record, key and what is allowed, for every fault.
        FileNotFoundError: no such file.
    """
    if isinstance(predictions, Path | str):
        parts = _of_file(Path(predictions), check)
    elif isinstance(predictions, list | tuple):
        parts = _of_records(predictions, check)
    else:
        raise CocoError([not_a_list(check.file, "predictions", predictions)])
    collected, faults = DetectionsByImage(), []
    for detections, its_faults in in_order(parts):
        faults += its_faults
        if not faults:
            collected.add(detections)
    if faults:
        raise CocoError(faults)
    return collected.whole()


def have_masks(predictions: Path) -> bool:
    """Whether the first record of a results file has a mask; so it is said of a file without any.

    Raises:
        FileNotFoundError: no such file.
        CocoError: the file is not JSON, or holds something else than a list.
    """
    first = first_record(predictions)
    return first is None or (isinstance(first, dict) and "segmentation" in first)


def _of_file(path: Path, check: PredictionCheck) -> Iterator[Callable[[], Checked]]:
    for piece in read_pieces(path):
        yield partial(piece.detections, check)


def _of_records(
    records: Sequence[Record], check: PredictionCheck
) -> Iterable[Callable[[], Checked]]:
    def part(first: int) -> Checked:
        checked, faults = check.records(records[first : first + _BATCH], first)
        return Detections.of(checked, with_masks=check.compares_masks), faults

    return (partial(part, first) for first in range(0, len(records), _BATCH))
