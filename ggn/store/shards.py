"""Parquet shards, written image by image so that a kill loses none."""

from __future__ import annotations

import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, KeysView, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ggn.core.files import replaced
from ggn.store.parquet import ImageInstances, StoreError, schema_of, to_row, to_table

ROWS_PER_GROUP = 64
"""Rows that writer and reader hold in memory at a time; reading one image decodes as many."""

_FLOATS = ("scores", "features")  # which a log holds as base64 of float32, little-endian

# Masks never repeat, so dictionaries only cost; measured on predictions and candidates of `shapes`.
_ENCODING: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 9,
    "use_dictionary": False,
    "column_encoding": {
        "counts.list.element": "DELTA_LENGTH_BYTE_ARRAY",
        "scores.list.element": "BYTE_STREAM_SPLIT",
        "features.list.element.list.element": "BYTE_STREAM_SPLIT",
    },
    "write_statistics": ["image_id"],
    "write_page_checksum": True,
}


def plan_shards(image_ids: Sequence[int], shards: int) -> list[list[int]]:
    """Cut the sorted ids into `shards` ranges, the longer ones first: the same on every machine."""
    if shards < 1:
        raise ValueError(f"shards must be at least 1, got {shards}")
    ordered = sorted(image_ids)
    if len(set(ordered)) != len(ordered):
        raise ValueError("image ids must be unique")
    least, longer = divmod(len(ordered), shards)
    ends = [least * (index + 1) + min(index + 1, longer) for index in range(shards)]
    return [ordered[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def shard_path(folder: Path, index: int, shards: int) -> Path:
    """Return the file of shard `index` of `shards`."""
    return folder / f"shard-{index:05d}-of-{shards:05d}.parquet"


class ShardWriter:
    """Writes one shard: each image is appended to a log, the finished log becomes the shard.

    The log survives `kill -9`: every line carries a checksum, and a torn last line is cut off when
    the log is opened again. It stays when the shard is written; delete it once the shard is safe.
    The bytes of a shard do not depend on interruptions.
    """

    def __init__(self, log: Path, path: Path, image_ids: Sequence[int], names: Sequence[str]):
        """Open or continue a shard.

        Args:
            log: scratch file; a log of other images or features is refused.
            path: of the finished shard.
            image_ids: that the shard must hold.
            names: of the feature columns.
        """
        self._log, self._path, self._names = log, path, list(names)
        self._wanted = set(image_ids)
        self._places: dict[int, tuple[int, int]] = {}  # byte range of each image's line
        self.instances = 0  # of all images so far, those of earlier starts included
        log.parent.mkdir(parents=True, exist_ok=True)
        for row, start, end in _log_rows(log):
            self._require_fit(row)
            self._places[row["image_id"]] = (start, end)
            self.instances += len(row["counts"])
        self._file = log.open("a+b")
        self._file.truncate(max((end for _, end in self._places.values()), default=0))

    @property
    def finished(self) -> KeysView[int]:
        """Ids of the images that are already done."""
        return self._places.keys()

    def append(self, item: ImageInstances) -> None:
        """Add one image; once this returns, a kill cannot lose it.

        Raises:
            StoreError: the image does not belong to this shard, or is already in it.
            ValueError: the features are not (N, number of names), or not finite.
        """
        if item.image_id not in self._wanted or item.image_id in self.finished:
            raise StoreError(
                f"{self._path}: image {item.image_id} is of another shard, or already in this one"
            )
        line = _log_line(item, self._names)
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell()
        self._file.write(line)
        self._file.flush()
        self._places[item.image_id] = (start, start + len(line))
        self.instances += len(item.instances)

    def close(self) -> None:
        """Leave the shard unfinished; a later writer continues."""
        self._file.close()

    def finish(self) -> None:
        """Write the Parquet file from the log; memory holds one row group.

        Raises:
            StoreError: images are still missing; naming the first.
        """
        missing = sorted(self._wanted - self.finished)
        if missing:
            raise StoreError(f"{self._path}: {len(missing)} images missing, such as {missing[:5]}")
        schema = schema_of(self._names)
        ordered = sorted(self._places)
        try:
            with (
                replaced(self._path) as temporary,
                pq.ParquetWriter(temporary, schema, **_ENCODING) as parquet,
            ):
                for first in range(0, len(ordered), ROWS_PER_GROUP):
                    rows = [self._row(i) for i in ordered[first : first + ROWS_PER_GROUP]]
                    parquet.write_table(to_table(rows, self._names))
        finally:
            self._file.close()

    def _row(self, image_id: int) -> dict[str, Any]:
        start, end = self._places[image_id]
        self._file.seek(start)
        return _unpacked(self._file.read(end - start).partition(b" ")[2])

    def _require_fit(self, row: dict[str, Any]) -> None:
        if row["image_id"] not in self._wanted:
            raise StoreError(f"{self._log}: image {row['image_id']} belongs to another shard")
        if row["features"].shape[1] != len(self._names):
            raise StoreError(f"{self._log}: image {row['image_id']} has other features")


def _log_line(item: ImageInstances, names: Sequence[str]) -> bytes:
    """Return the checksum and the row of one image as a line of the log."""
    row = to_row(item, names)
    packed = {name: b64encode(row[name].astype("<f4").tobytes()).decode() for name in _FLOATS}
    body = json.dumps({**row, **packed, "columns": len(names)}).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _unpacked(body: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(body)
    scores, features = (np.frombuffer(b64decode(row[name]), "<f4") for name in _FLOATS)
    shape = (len(row["counts"]), row.pop("columns"))
    return {**row, "scores": scores, "features": features.reshape(shape)}


def _log_rows(log: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield each complete row with the byte range of its line, up to the first damaged line."""
    if not log.exists():
        return
    start = 0
    with log.open("rb") as file:
        for line in file:
            checksum, _, body = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
                return
            yield _unpacked(body), start, start + len(line)
            start += len(line)
