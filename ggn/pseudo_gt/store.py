"""Candidate segments on disk: Parquet shards, written image by image so that a kill loses none."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ggn.core.instances import Instances

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
"""One row per image, by image id; `counts` are compressed COCO run lengths, best first."""


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
    """Deal the sorted ids out to `shards` shards in turn: the same plan on every machine."""
    if shards < 1:
        raise ValueError(f"shards must be at least 1, got {shards}")
    ordered = sorted(image_ids)
    if len(set(ordered)) != len(ordered):
        raise ValueError("image ids must be unique")
    return [ordered[index::shards] for index in range(shards)]


def shard_path(folder: Path, index: int, shards: int) -> Path:
    """Return the file of shard `index` of `shards`."""
    return folder / f"shard-{index:05d}-of-{shards:05d}.parquet"


class ShardWriter:
    """Writes one shard: each image is appended to a log, the finished log becomes the shard.

    The log survives `kill -9`: every line carries a checksum, and a torn last line is cut off when
    the log is opened again. The bytes of the shard do not depend on interruptions.
    """

    def __init__(self, log: Path, path: Path, image_ids: Sequence[int], names: Sequence[str]):
        """Open or continue a shard.

        Args:
            log: scratch file; a log of other images is refused.
            path: of the finished shard.
            image_ids: that the shard must hold.
            names: of the feature columns.
        """
        self._log, self._path, self._names = log, path, list(names)
        self._wanted = set(image_ids)
        log.parent.mkdir(parents=True, exist_ok=True)
        self.finished: set[int] = set()
        """Ids of the images that need not be done again."""
        valid = 0
        for record, end in _log_records(log):
            if record["image_id"] not in self._wanted:
                raise StoreError(f"{log}: image {record['image_id']} belongs to another shard")
            self.finished.add(record["image_id"])
            valid = end
        self._file = log.open("ab")
        self._file.truncate(valid)

    def append(self, item: ImageCandidates) -> None:
        """Add one image durably."""
        if item.image_id not in self._wanted or item.image_id in self.finished:
            raise StoreError(f"{self._path}: image {item.image_id} is not wanted here, or twice")
        if item.features.shape != (len(item.instances), len(self._names)):
            wanted = (len(item.instances), len(self._names))
            raise ValueError(f"features must be {wanted}, got {item.features.shape}")
        height, width = item.instances.image_size_hw
        line = json.dumps(
            {
                "image_id": item.image_id,
                "height": height,
                "width": width,
                "counts": [mask["counts"] for mask in item.instances.masks],
                "scores": item.instances.scores.tolist(),
                "features": item.features.tolist(),
            },
            allow_nan=False,
        ).encode()
        self._file.write(b"%08x %s\n" % (zlib.crc32(line), line))
        self._file.flush()
        self.finished.add(item.image_id)

    def close(self) -> None:
        """Leave the shard unfinished; a later writer goes on."""
        self._file.close()

    def finish(self) -> None:
        """Write the Parquet file and delete the log.

        Raises:
            StoreError: images are still missing; the first are named.
        """
        missing = sorted(self._wanted - self.finished)
        if missing:
            raise StoreError(f"{self._path}: {len(missing)} images missing, such as {missing[:5]}")
        os.fsync(self._file.fileno())
        self._file.close()
        rows = sorted((row for row, _ in _log_records(self._log)), key=lambda r: r["image_id"])
        metadata = {"feature_names": json.dumps(self._names)}
        table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(f".{os.getpid()}.part")
        pq.write_table(table, temporary, compression="zstd", row_group_size=256)
        temporary.replace(self._path)
        self._log.unlink()


def _log_records(log: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each whole record and the offset behind it, up to the first torn line."""
    if not log.exists():
        return
    end = 0
    with log.open("rb") as file:
        for line in file:
            checksum, _, body = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
                return
            end += len(line)
            yield json.loads(body), end


def feature_names(folder: Path) -> list[str]:
    """Return the names of the feature columns of a store."""
    names: list[str] = json.loads(_open(_shards(folder)[0]).schema_arrow.metadata[b"feature_names"])
    return names


def read_candidates(folder: Path, image_ids: Sequence[int]) -> Iterator[ImageCandidates]:
    """Yield the candidates of every image, by shard; memory holds one row group.

    Raises:
        StoreError: a shard is missing or damaged, or the images are not exactly `image_ids`.
    """
    wanted = set(image_ids)
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
                yield _candidates(path, row)
    if wanted:
        raise StoreError(f"{folder}: {len(wanted)} images missing, such as {sorted(wanted)[:5]}")


def _candidates(path: Path, row: dict[str, Any]) -> ImageCandidates:
    size = [row["height"], row["width"]]
    features = np.array(row["features"], dtype=np.float32).reshape(len(row["counts"]), -1)
    try:
        instances = Instances(
            [{"size": size, "counts": counts} for counts in row["counts"]],
            np.array(row["scores"], dtype=np.float32),
            (size[0], size[1]),
        )
    except ValueError as error:
        raise StoreError(f"{path}: image {row['image_id']}: {error}") from error
    return ImageCandidates(row["image_id"], instances, features)


def _shards(folder: Path) -> list[Path]:
    """Return all shard files in order, or name those that are missing."""
    found = sorted(folder.glob("shard-*.parquet"))
    if not found:
        raise StoreError(f"{folder}: no shards")
    count = int(found[0].stem.rpartition("-")[2])
    expected = [shard_path(folder, index, count) for index in range(count)]
    missing = [path.name for path in expected if path not in found]
    foreign = [path.name for path in found if path not in expected]
    if missing or foreign:
        raise StoreError(f"{folder}: shards missing: {missing}, of another plan: {foreign}")
    return expected


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: damaged: {error}") from error
    if not file.schema_arrow.equals(SCHEMA):
        raise StoreError(f"{path}: not a shard of candidates: its columns differ")
    return file
