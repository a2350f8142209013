"""A store of pseudo ground truth: masks of millions of images on disk, read image by image."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ggn.core.files import replaced, sha256
from ggn.core.instances import Instances

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("gt_iou", pa.list_(pa.float32()), nullable=False),
    ]
)
"""One row per image, by image id; masks are compressed COCO run lengths, best first; `gt_iou` is
the largest IoU with an annotation."""

INDEX = "index.parquet"
IMAGES_PER_SHARD = 2**14
IMAGES_PER_GROUP = 16  # decoded together to read one; an open group takes 4 kB of memory
_READ_COLUMNS = ["height", "width", "counts", "scores"]
_OPEN_SHARDS = 128  # their footers stay in memory, about 4 MB each


class MaskStoreError(ValueError):
    """A store is missing, unfinished or damaged; the message names the file."""


def replace_store(fresh: Path, folder: Path) -> None:
    """Move the files of a finished store into a folder, in place of one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove(folder)
    for path in sorted(fresh.iterdir(), key=lambda path: path.name == INDEX):  # the index last
        shutil.move(path, folder / path.name)


def _remove(folder: Path) -> None:
    for path in (folder / INDEX, *folder.glob("shard-*.parquet")):
        path.unlink(missing_ok=True)


class MaskStoreWriter:
    """Writes a store in the order of image ids.

    The index is written last; without it, the folder is not a store. Use it as a
    context manager: if an error ends the body, no index is written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(folder)
        self._folder = folder
        self._ids: list[int] = []
        self._counts: list[int] = []
        self._digests: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._shard: pq.ParquetWriter | None = None

    def add(self, image_id: int, masks: Instances, gt_iou: Sequence[float]) -> None:
        """Add an image, whose id must be larger than the last one's; it may have no masks.

        Raises:
            ValueError: the id is not larger, or `gt_iou` is not (N,).
        """
        if self._ids and image_id <= self._ids[-1]:
            raise ValueError(f"image {image_id}: ids must ascend, the last was {self._ids[-1]}")
        if len(gt_iou) != len(masks):
            raise ValueError(f"image {image_id}: gt_iou must be ({len(masks)},)")
        height, width = masks.image_size_hw
        self._ids.append(image_id)
        self._counts.append(len(masks))
        self._rows.append(
            {
                "image_id": image_id,
                "height": height,
                "width": width,
                "counts": [mask["counts"] for mask in masks.masks],
                "scores": masks.scores.tolist(),
                "gt_iou": list(gt_iou),
            }
        )
        if len(self._rows) == IMAGES_PER_GROUP:
            self._write_rows()
        if len(self._ids) % IMAGES_PER_SHARD == 0:
            self._finish_shard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._write_rows()
            self._finish_shard()
            self._write_index()
        elif self._shard is not None:
            self._shard.close()
            self._part().unlink(missing_ok=True)

    def _write_rows(self) -> None:
        if not self._rows:
            return
        if self._shard is None:
            # uncompressed: run lengths hardly shrink, and reading one image is twice as fast
            self._shard = pq.ParquetWriter(
                self._part(),
                SCHEMA,
                compression="none",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
            )
        self._shard.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._rows = []

    def _finish_shard(self) -> None:
        if self._shard is None:
            return
        self._shard.close()
        self._shard = None
        path = _shard(self._folder, len(self._digests))
        self._part().replace(path)
        self._digests.append(sha256(path))

    def _write_index(self) -> None:
        metadata = {"shards": json.dumps(self._digests)}
        columns = {
            "image_id": pa.array(self._ids, pa.int64()),
            "masks": pa.array(self._counts, pa.int32()),
        }
        with replaced(self._folder / INDEX) as temporary:
            pq.write_table(
                pa.table(columns, metadata=metadata), temporary, write_page_checksum=True
            )

    def _part(self) -> Path:
        return self._folder / ".part"


class MaskStore:
    """A store of masks; reading an image takes the same time in a store of any size.

    Memory holds 12 bytes per image, and the footers of the shards used last. A store may be passed
    to other processes.

    Raises:
        MaskStoreError: there is no index, it is damaged, or a shard is missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        path = self._folder / INDEX
        if not path.is_file():
            raise MaskStoreError(f"{path}: missing; the folder is not a store, or is unfinished")
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            self.image_ids: NDArray[np.int64] = table["image_id"].to_numpy()
            self.mask_counts: NDArray[np.int32] = table["masks"].to_numpy()
            digests = json.loads(table.schema.metadata[b"shards"])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise MaskStoreError(f"{path}: damaged: {error}") from error
        self._digests: list[str] = digests
        self._paths = [_shard(self._folder, index) for index in range(len(digests))]
        missing = [path.name for path in self._paths if not path.is_file()]
        if missing:
            raise MaskStoreError(f"{self._folder}: shards missing: {missing}")

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def digest(self) -> str:
        """The SHA-256 of the index, which holds those of the shards."""
        return sha256(self._folder / INDEX)

    def verify(self) -> None:
        """Read every byte.

        Raises:
            MaskStoreError: naming a shard whose checksum is wrong.
        """
        for path, digest in zip(self._paths, self._digests, strict=True):
            if sha256(path) != digest:
                raise MaskStoreError(f"{path}: damaged, its checksum is wrong")

    def read(self, image_id: int) -> Instances | None:
        """Return the masks of an image, best first; None if the image is not in the store.

        Raises:
            MaskStoreError: the shard is damaged.
        """
        place = int(np.searchsorted(self.image_ids, image_id))
        if place == len(self) or self.image_ids[place] != image_id:
            return None
        shard, rest = divmod(place, IMAGES_PER_SHARD)
        group, row = divmod(rest, IMAGES_PER_GROUP)
        path = self._paths[shard]
        try:
            rows = _open(path).read_row_group(group, _READ_COLUMNS, use_threads=False)
            height, width, counts, scores = (column[row].as_py() for column in rows.columns)
            return Instances.from_counts(counts, scores, (height, width))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise MaskStoreError(f"{path}: damaged: {error}") from error

    def __iter__(self) -> Iterator[tuple[int, Instances, list[float]]]:
        """Yield id, masks and `gt_iou` of every image, by id.

        Raises:
            MaskStoreError: a shard is damaged.
        """
        for path in self._paths:
            try:
                for batch in _open(path).iter_batches(IMAGES_PER_GROUP, use_threads=False):
                    for row in batch.to_pylist():
                        size_hw = row["height"], row["width"]
                        masks = Instances.from_counts(row["counts"], row["scores"], size_hw)
                        yield row["image_id"], masks, row["gt_iou"]
            except (pa.ArrowException, OSError, ValueError) as error:
                raise MaskStoreError(f"{path}: damaged: {error}") from error


def store_of(dataset: Mapping[str, Any]) -> MaskStore | None:
    """Return the store that a training file names under `pseudo_gt`, if any.

    Raises:
        MaskStoreError: the store has changed since the file was written.
    """
    named = dataset.get("pseudo_gt")
    if named is None:
        return None
    store = MaskStore(named["store"])
    if store.digest != named["sha256"]:
        raise MaskStoreError(f"{named['store']}: has changed since the training file was written")
    return store


@lru_cache(maxsize=_OPEN_SHARDS)
def _open(path: Path) -> pq.ParquetFile:
    """Keep a shard open; reads give their position, so forked processes can share it."""
    return pq.ParquetFile(path, page_checksum_verification=True)


def _shard(folder: Path, index: int) -> Path:
    return folder / f"shard-{index:05d}.parquet"
