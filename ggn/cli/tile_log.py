"""What is known of the tiles of an image, kept in files: a killed call goes on at the next tile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.evaluation.order import in_order
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.shards import ShardWriter, shard_path

Map = NDArray[np.float32]
Advance = Callable[[int], object]
FindInSome = Callable[[Sequence[Any]], Sequence[Instances]]


class TileLog:
    """Finds the instances of tiles on all cores, or reads what an earlier call has found.

    Tiles are told apart by their order, which is the same in every call.
    """

    def __init__(self, writer: ShardWriter, known: Iterator[ImageInstances]) -> None:
        """Continue a log; `known` are the tiles in it, in order."""
        self._writer, self._known = writer, known
        self._in_log = frozenset(writer.finished)
        self._count = 0

    def find(self, find: FindInSome, tiles: Sequence[Any], together: int) -> list[Instances]:
        """Return the instances of the next tiles; `find` gets `together` at a time on each core.

        Tiles that go together are found anew if one of them is not in the log.
        """
        first = self._count
        self._count += len(tiles)
        parts = [
            range(start, min(start + together, self._count))
            for start in range(first, self._count, together)
        ]
        read = {
            number: next(self._known).instances
            for number in range(first, self._count)
            if number in self._in_log
        }
        todo = [part for part in parts if not all(number in read for number in part)]
        tasks = [partial(find, tiles[part.start - first : part.stop - first]) for part in todo]
        for part, found in zip(todo, in_order(tasks), strict=True):
            for number, instances in zip(part, found, strict=True):
                read[number] = instances
                if number not in self._in_log:
                    self._writer.append(ImageInstances.without_features(number, instances))
        return [read[number] for number in range(first, self._count)]


@contextmanager
def tile_log(folder: Path, tiles: int) -> Iterator[TileLog]:
    """Open or continue the log of an image with so many tiles, in a folder of its own."""
    log = folder / "log"
    writer = ShardWriter(log, shard_path(folder / "store", 0, 1), range(tiles), ())
    try:
        yield TileLog(writer, _known(log, folder / "store", sorted(writer.finished)))
    finally:
        writer.close()


def _known(log: Path, store: Path, tiles: list[int]) -> Iterator[ImageInstances]:
    """Yield the tiles in a log, in order, through a store: memory holds a few at a time."""
    if tiles:
        ShardWriter(log, shard_path(store, 0, 1), tiles, ()).finish()
        yield from Store(store)


class KeptMap:
    """A map (H, W), float32, in a file that a killed call leaves, and how many tiles it has."""

    def __init__(self, path: Path, size_hw: tuple[int, int], told: Advance) -> None:
        """Open the file, or make it.

        Args:
            path: of the file.
            size_hw: of the map.
            told: how many tiles have come to it, those of earlier calls first.

        Raises:
            OSError: the disk has no room for it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._done = path.with_suffix(".done")  # a byte per tile: to append one is never half done
        self._told = told
        with path.open("a+b"), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size_hw[0] * size_hw[1] * 4)
            self._values = np.memmap(file, np.float32, "r+", shape=size_hw).view(np.ndarray)

    def filled(self, fill: Callable[[Advance, Map, int], Map]) -> Map:
        """Return the map, filled; `fill` tells of each tile in it, and leaves out the first ones.

        What has been written to the map outlasts a kill.
        """
        done = self._done.stat().st_size if self._done.exists() else 0
        self._told(done)
        return fill(self._advance, self._values, done)

    def _advance(self, count: int) -> None:
        with self._done.open("ab") as file:
            file.write(b"." * count)
        self._told(count)
