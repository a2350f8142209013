"""Candidate segments on disk: Parquet shards, written image by image so that a kill loses none."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, KeysView, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.core.masks import RLE

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("features", pa.list_(pa.list_(pa.float32())), nullable=False),
    ]
)
"""One row per image, by image id; `counts` are compressed COCO run lengths, best first.

The schema's metadata holds the names of the feature columns as a JSON list, `feature_names`.
"""

_ROWS_PER_GROUP = 256  # what a writer and a reader hold in memory at a time
_SHARD_NAME = re.compile(r"shard-\d{5,}-of-(\d{5,})\.parquet")


class StoreError(ValueError):
    """A shard is missing, damaged or of another run; the message names it."""


@dataclass(frozen=True, eq=False)
class ImageCandidates:
    """The candidate segments of one image, best first."""

    image_id: int
    instances: Instances
    features: NDArray[np.float32]
    """(N, F), columns as `Candidates.features` of the grouping."""


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
    the log is opened again. It stays when the shard is written, so that whoever loses the shards
    (DVC deletes a stage's outputs before it runs again) needs not repeat their images; delete the
    logs once all shards are safe. The bytes of a shard do not depend on interruptions.
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
        self.candidates = 0  # of all images so far, those of earlier starts included
        log.parent.mkdir(parents=True, exist_ok=True)
        for row, start, end in _log_rows(log):
            self._require_fit(row)
            self._places[row["image_id"]] = (start, end)
            self.candidates += len(row["counts"])
        self._file = log.open("a+b")
        self._file.truncate(max((end for _, end in self._places.values()), default=0))

    @property
    def finished(self) -> KeysView[int]:
        """Ids of the images that need not be done again."""
        return self._places.keys()

    def append(self, item: ImageCandidates) -> None:
        """Add one image; once this returns, no kill can lose it.

        Raises:
            StoreError: the image is not of this shard, or is there already.
            ValueError: the features are not (N, number of names), or not finite.
        """
        if item.image_id not in self._wanted or item.image_id in self.finished:
            raise StoreError(f"{self._path}: image {item.image_id} is not wanted here, or twice")
        line = _log_line(item, self._names)
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell()
        self._file.write(line)
        self._file.flush()
        self._places[item.image_id] = (start, start + len(line))
        self.candidates += len(item.instances)

    def close(self) -> None:
        """Leave the shard unfinished; a later writer goes on."""
        self._file.close()

    def finish(self) -> None:
        """Write the Parquet file from the log; memory holds one row group.

        Raises:
            StoreError: images are still missing; the first are named.
        """
        missing = sorted(self._wanted - self.finished)
        if missing:
            raise StoreError(f"{self._path}: {len(missing)} images missing, such as {missing[:5]}")
        schema = SCHEMA.with_metadata({"feature_names": json.dumps(self._names)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.part")  # a shard has one writer
        ordered = sorted(self._places)
        try:
            with pq.ParquetWriter(
                temporary, schema, compression="zstd", write_page_checksum=True
            ) as parquet:
                for first in range(0, len(ordered), _ROWS_PER_GROUP):
                    rows = [self._row(i) for i in ordered[first : first + _ROWS_PER_GROUP]]
                    parquet.write_table(pa.Table.from_pylist(rows, schema=schema))
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
            self._file.close()

    def _row(self, image_id: int) -> dict[str, Any]:
        start, end = self._places[image_id]
        self._file.seek(start)
        row: dict[str, Any] = json.loads(self._file.read(end - start).partition(b" ")[2])
        return row

    def _require_fit(self, row: dict[str, Any]) -> None:
        if row["image_id"] not in self._wanted:
            raise StoreError(f"{self._log}: image {row['image_id']} belongs to another shard")
        if any(len(values) != len(self._names) for values in row["features"]):
            raise StoreError(f"{self._log}: image {row['image_id']} has other features")


def _log_line(item: ImageCandidates, names: Sequence[str]) -> bytes:
    """Return the checksum and the row of one image as a line of the log."""
    wanted = (len(item.instances), len(names))
    if item.features.shape != wanted:
        raise ValueError(
            f"image {item.image_id}: features must be {wanted}, got {item.features.shape}"
        )
    if not np.isfinite(item.features).all():
        row, column = np.argwhere(~np.isfinite(item.features))[0]
        got = f"{names[column]} is {item.features[row, column]} for candidate {row}"
        raise ValueError(f"image {item.image_id}: features must be finite, but {got}")
    height, width = item.instances.image_size_hw
    body = json.dumps(
        {
            "image_id": item.image_id,
            "height": height,
            "width": width,
            "counts": [mask["counts"] for mask in item.instances.masks],
            "scores": item.instances.scores.tolist(),
            "features": item.features.tolist(),
        }
    ).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _log_rows(log: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield each whole row with the bytes its line spans, up to the first torn line."""
    if not log.exists():
        return
    start = 0
    with log.open("rb") as file:
        for line in file:
            checksum, _, body = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
                return
            yield json.loads(body), start, start + len(line)
            start += len(line)


def feature_names(folder: Path) -> list[str]:
    """Return the names of the feature columns of a store; looks at the head of every shard.

    Raises:
        StoreError: a shard is missing, damaged or foreign, or shards differ in their features.
    """
    names = {path: _names(path, _open(path)) for path in _shards(folder)}
    first = next(iter(names))
    for path, own in names.items():
        if own != names[first]:
            raise StoreError(f"{path}: its features {own} differ from those of {first.name}")
    return names[first]


def read_candidates(folder: Path, image_ids: Sequence[int]) -> Iterator[ImageCandidates]:
    """Yield the candidates of every image, by shard; memory holds one row group.

    Raises:
        StoreError: a shard is missing or damaged, or the images are not exactly `image_ids`.
    """
    wanted = set(image_ids)
    names = feature_names(folder)
    for path in _shards(folder):
        file = _open(path)
        for group in range(file.num_row_groups):
            try:
                rows = file.read_row_group(group).to_pylist()
            except (pa.ArrowException, OSError) as error:
                raise StoreError(f"{path}: damaged: {error}") from error
            for row in rows:
                if row["image_id"] not in wanted:
                    raise StoreError(f"{path}: image {row['image_id']} is unknown or there twice")
                wanted.remove(row["image_id"])
                yield _candidates(path, row, len(names))
    if wanted:
        raise StoreError(f"{folder}: {len(wanted)} images missing, such as {sorted(wanted)[:5]}")


def _candidates(path: Path, row: dict[str, Any], columns: int) -> ImageCandidates:
    size_hw = (row["height"], row["width"])
    masks: list[RLE] = [{"size": list(size_hw), "counts": counts} for counts in row["counts"]]
    try:
        features = np.array(row["features"], dtype=np.float32).reshape(len(masks), columns)
        instances = Instances(masks, np.array(row["scores"], dtype=np.float32), size_hw)
    except ValueError as error:
        raise StoreError(f"{path}: image {row['image_id']}: {error}") from error
    return ImageCandidates(row["image_id"], instances, features)


def _shards(folder: Path) -> list[Path]:
    """Return all shard files in order, or name those that are missing."""
    found = sorted(folder.glob("shard-*"))
    counts = [int(name[1]) for path in found if (name := _SHARD_NAME.fullmatch(path.name))]
    if not counts:
        raise StoreError(f"{folder}: no shards")
    expected = [shard_path(folder, index, counts[0]) for index in range(counts[0])]
    missing = [path.name for path in expected if path not in found]
    foreign = [path.name for path in found if path not in expected]
    if missing or foreign:
        raise StoreError(f"{folder}: shards missing: {missing}, not of this plan: {foreign}")
    return expected


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: damaged: {error}") from error
    if not file.schema_arrow.equals(SCHEMA):
        raise StoreError(f"{path}: not a shard of candidates: its columns differ")
    return file


def _names(path: Path, file: pq.ParquetFile) -> list[str]:
    metadata = file.schema_arrow.metadata or {}
    if b"feature_names" not in metadata:
        raise StoreError(f"{path}: not a shard of candidates: it does not name its features")
    names: list[str] = json.loads(metadata[b"feature_names"])
    return names
