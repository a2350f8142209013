"""Reading a store: all of its images in order, or one of them."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ggn.store.parquet import SCHEMA, ImageInstances, StoreError, from_row
from ggn.store.shards import shard_path

_SHARD_NAME = re.compile(r"shard-\d{5,}-of-(\d{5,})\.parquet")


class Store:
    """A folder with all shards of one plan, their images by ascending id.

    Memory never holds more than one row group.

    Raises:
        StoreError: a shard is missing, damaged or of another plan, or shards differ in features.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = _shards(folder)
        heads = {path: _head(path) for path in self._shards}
        self.images = sum(rows for rows, _ in heads.values())
        """Number of images."""
        self.feature_names: list[str] = heads[self._shards[0]][1]
        """Names of the feature columns."""
        for path, (_, own) in heads.items():
            if own != self.feature_names:
                first = self._shards[0].name
                raise StoreError(f"{path}: its features {own} differ from those of {first}")

    def __iter__(self) -> Iterator[ImageInstances]:
        """Yield every image.

        Raises:
            StoreError: a shard is damaged, or ids do not ascend.
        """
        last = None
        for path in self._shards:
            file = _open(path)
            for group in range(file.num_row_groups):
                for row in _rows(path, file, group):
                    if last is not None and row["image_id"] <= last:
                        reason = f"image {row['image_id']} comes after image {last}"
                        raise StoreError(f"{path}: damaged: {reason}")
                    last = row["image_id"]
                    yield self._item(path, row)

    def read_all(self, image_ids: Sequence[int]) -> Iterator[ImageInstances]:
        """Yield every image, which must be exactly `image_ids`.

        Raises:
            StoreError: a shard is damaged; an image is missing, or not one of `image_ids`.
        """
        wanted = set(image_ids)
        for item in self:
            if item.image_id not in wanted:
                raise StoreError(f"{self.folder}: image {item.image_id} is unknown")
            wanted.remove(item.image_id)
            yield item
        if wanted:
            missing = sorted(wanted)[:5]
            raise StoreError(f"{self.folder}: {len(wanted)} images are missing, first {missing}")

    def read(self, image_id: int) -> ImageInstances:
        """Return one image.

        Raises:
            StoreError: there is no such image, or its shard is damaged.
        """
        place = bisect_right(self._index, image_id, key=lambda entry: entry[0]) - 1
        if place >= 0:
            _, path, group = self._index[place]
            for row in _rows(path, _open(path), group):
                if row["image_id"] == image_id:
                    return self._item(path, row)
        raise StoreError(f"{self.folder}: has no image {image_id}")

    def _item(self, path: Path, row: dict[str, Any]) -> ImageInstances:
        try:
            return from_row(row, len(self.feature_names))
        except ValueError as error:
            raise StoreError(f"{path}: image {row['image_id']}: {error}") from error

    @cached_property
    def _index(self) -> list[tuple[int, Path, int]]:
        """The first image id of each row group, its file, and the index of the group there."""
        files = ((path, _open(path)) for path in self._shards)
        return [
            (_rows(path, file, group, ["image_id"])[0]["image_id"], path, group)
            for path, file in files
            for group in range(file.num_row_groups)
        ]


def _rows(
    path: Path, file: pq.ParquetFile, group: int, columns: list[str] | None = None
) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = file.read_row_group(group, columns).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: damaged: {error}") from error
    return rows


def _shards(folder: Path) -> list[Path]:
    """Return all shard files in order, or name those that are missing."""
    found = sorted(folder.glob("shard-*"))
    counts = [int(name[1]) for path in found if (name := _SHARD_NAME.fullmatch(path.name))]
    if not counts:
        raise StoreError(f"{folder}: has no shards, so it is not a store")
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
        raise StoreError(f"{path}: is not a shard of instances: it has other columns")
    return file


def _head(path: Path) -> tuple[int, list[str]]:
    """Return the number of images of a shard and the names of its features."""
    file = _open(path)
    metadata = file.schema_arrow.metadata or {}
    if b"feature_names" not in metadata:
        raise StoreError(f"{path}: is not a shard of instances: it does not name its features")
    try:
        names = json.loads(metadata[b"feature_names"])
    except ValueError as error:
        raise StoreError(f"{path}: damaged: the names of its features: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise StoreError(f"{path}: damaged: the names of its features are {names!r}")
    return file.metadata.num_rows, names
