"""Reads a COCO results file as a stream: pieces of text, cut between records, become columns."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

from ggn.core.coco import CocoError, Fault, not_finite, open_json, read_json
from ggn.core.faults import Mends
from ggn.evaluation import _overlaps
from ggn.evaluation.columns import Columns, from_table, schema
from ggn.evaluation.detections import Detections
from ggn.evaluation.records import PredictionCheck, not_a_list

PIECE = 2**22  # bytes of text parsed together; bounds the memory

_SPACE = b" \t\r\n"

_MASK = re.compile(rb'"segmentation"\s{0,99}:\s{0,99}(?:\[?\s{0,99}\{|\[[\s\[]{0,299}[-0-9])')
"""The beginning of a mask: run lengths, or a polygon with a number in it."""
_LOOK_BACK = 1024  # bytes: no shorter than the longest match


@dataclass(frozen=True)
class Chunk:
    """Some records of a file, one after the other."""

    path: Path
    start: int
    """Where the text begins in the file."""
    text: bytes
    """As it stands in the file; between the records are commas."""
    lines: bytes | None
    """One record per line; None if the text is not surely a list of objects."""
    first: int
    """The number of the first record in the file."""
    is_last: bool

    def detections(self, check: PredictionCheck) -> tuple[Detections, list[Fault], Mends]:
        """Return the valid records as columns, the faults of the others, and what was mended.

        Raises:
            CocoError: the text is not JSON, with the line and column.
        """
        columns = None if self.lines is None else self._columns(self.lines, check.compares_masks)
        if columns is not None and check.are_sound(columns):
            return columns.detections, [], Mends()
        records, constants = self._records()
        faults = []
        if constants:
            found = not_finite(records, self.first, "predictions")
            faults = [Fault(str(self.path), where, reason) for where, reason in found]
        sound, others, mends = check.records(records, self.first)
        named = {_place(fault) for fault in faults}
        faults += [fault for fault in others if _place(fault) not in named]
        return Detections.of(sound, with_masks=check.compares_masks), faults, mends

    def records(self) -> list[Any]:
        """Return the records, unchecked.

        Raises:
            CocoError: the text is not JSON, with the line and column.
        """
        return self._records()[0]

    def _columns(self, lines: bytes, with_masks: bool) -> Columns | None:
        """Return the records as columns; None unless all have the usual form."""
        if b"null" in self.text:  # Arrow does not distinguish it from a missing key
            return None
        try:
            if not self.text.isascii():
                self.text.decode("utf-8")
            table = pyarrow.json.read_json(
                pa.BufferReader(lines),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=schema(with_masks), unexpected_field_behavior="ignore"
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        return from_table(table, with_masks=with_masks)

    def _records(self) -> tuple[list[Any], list[str]]:
        """Parse the records with Python's own parser, which locates errors and NaN."""
        constants: list[str] = []

        def constant(name: str) -> float:
            constants.append(name)
            return float(name)

        before, after = b"" if self.start == 0 else b"[", b"" if self.is_last else b"]"
        try:
            text = (before + self.text + after).decode("utf-8")
            records: list[Any] = json.loads(text, parse_constant=constant)
            if not records and before and self.is_last:
                raise json.JSONDecodeError("Expecting value", text, text.rindex("]"))
        except (ValueError, RecursionError) as error:
            reason = self._reason(error, len(before))
            raise CocoError([Fault(str(self.path), "not JSON", reason)]) from error
        return records, constants

    def _reason(self, error: Exception, before: int) -> str:
        """Return what is wrong with the text, with its position in the file."""
        if isinstance(error, UnicodeDecodeError):
            return f"byte {self.start + error.start - before} is not UTF-8"
        if isinstance(error, RecursionError):
            return "is nested too deeply"
        if not isinstance(error, json.JSONDecodeError):
            return str(error)
        with open_json(self.path) as file:
            text = file.read(self.start).decode("utf-8", "replace")
        text += error.doc[before : error.pos]
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return f"{error.msg}: line {line} column {column} (char {len(text)})"


def _place(fault: Fault) -> str:
    """Return `predictions[2]` of `predictions[2] (image_id 5)`."""
    return fault.where.partition(" (")[0]


def read_pieces(path: Path) -> Iterator[Chunk]:
    """Yield the text of a results file, piece by piece.

    Raises:
        FileNotFoundError: no such file.
        CocoError: it does not begin with a list.
    """
    with open_json(path) as file:
        rest = file.read(PIECE)
        if not rest.lstrip(_SPACE).startswith(b"["):
            raise CocoError([not_a_list(str(path), "predictions", read_json(path))])
        start, first, begin = 0, 0, rest.index(b"[") + 1  # begin: of the records in the text
        while True:
            found = _separated(rest, begin, first > 0)
            more = b"" if found.ended else file.read(max(PIECE, len(rest)))
            if more and found.cut < 0:
                rest += more
                continue
            if not more:
                rest += file.read()
                found = _separated(rest, begin, first > 0)
                lines = found.lines(None) if found.ended else None
                yield Chunk(path, start, rest, lines, first, is_last=True)
                return
            text = rest[: found.cut]
            yield Chunk(path, start, text, found.lines(found.cut), first, is_last=False)
            start, first, begin = start + found.cut + 1, first + found.count, 0
            rest = rest[found.cut + 1 :] + more


def first_record(path: Path) -> Any:
    """Return the first record of a results file, unchecked; None if there is none.

    Raises:
        FileNotFoundError: no such file.
        CocoError: the file is not JSON, or not a list.
    """
    piece = next(read_pieces(path))
    return next(iter(piece.records()), None)


def states_mask(path: Path) -> bool:
    """Whether any record of a results file has a segmentation that is not empty.

    The text is searched up to the first one, which takes no longer than reading it.
    """
    rest = b""
    with open_json(path) as file:
        while more := file.read(PIECE):
            text = rest + more
            if _MASK.search(text):
                return True
            rest = text[-_LOOK_BACK:]
    return False


@dataclass(frozen=True)
class _Separated:
    """Structure of a stretch of text: its last comma between records, whether the list ends."""

    cut: int
    count: int
    ended: bool
    regular: bool
    text: bytearray
    begin: int

    def lines(self, cut: int | None) -> bytes | None:
        return bytes(memoryview(self.text)[self.begin : cut]) if self.regular else None


def _separated(text: bytes, begin: int, after_comma: bool) -> _Separated:
    lines = bytearray(text)
    with memoryview(lines) as view:
        cut, end, count, regular = _overlaps.separate(
            memoryview(text)[begin:], after_comma, view[begin:]
        )
    return _Separated(cut + begin if cut >= 0 else -1, count, end >= 0, regular, lines, begin)
