"""Work on every image of a dataset: shards, done by any number of processes, then assembled."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggn.core.coco import write_json
from ggn.store.rows import ImageInstances
from ggn.store.shards import ShardWriter, plan_shards, shard_path

IMAGES_PER_SHARD = 2000
LEAST_SHARDS = 64
"""So that datasets of less than 64 × 2000 images, too, can be shared out among many workers."""
LEAST_IMAGES_PER_SHARD = 64
"""Where there are fewer, the shards' own heads would take more room than what they hold."""

Find = Callable[[Iterable[int]], Iterator[ImageInstances]]
"""Finds the instances of some images, in any order."""
Load = Callable[[], Callable[[Path], Any]]
"""Loads the network, to predict something of an image file; called once in a process."""
Finish = Callable[[int, Any], ImageInstances]
"""Makes the instances of an image, given its id, of what was predicted."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What is to be found in every image, in a scratch folder that all its processes see.

    The shards follow from the image ids alone, so the number of processes changes no byte of them.
    A process locks a shard while it works on it; the lock goes when the process ends, however that
    is (`flock`, which a network disk must support).
    """

    folder: Path
    plan: list[list[int]]
    """The image ids of each shard."""
    names: Sequence[str]
    """Of the feature columns."""

    @classmethod
    def of(cls, folder: Path, image_ids: Sequence[int], names: Sequence[str]) -> Work:
        """Plan the work on a dataset."""
        few = min(len(image_ids) // LEAST_IMAGES_PER_SHARD, LEAST_SHARDS)
        shards = max(-(-len(image_ids) // IMAGES_PER_SHARD), few, 1)
        return cls(folder, plan_shards(image_ids, shards), names)

    def share(self, worker: int, workers: int) -> list[int]:
        """Return the shards of one of `workers` workers.

        Raises:
            ValueError: there is no such worker.
        """
        if not 0 <= worker < workers:
            raise ValueError(f"shard must be from 0 to {workers - 1}, got {worker}")
        return list(range(len(self.plan)))[worker::workers]

    def images(self, shards: Iterable[int]) -> int:
        """Return how many images some shards have."""
        return sum(len(self.plan[index]) for index in shards)

    def run(self, shards: Iterable[int], find: Find, advance: Callable[[int], object]) -> Counts:
        """Make every one of `shards` whole: those that others work on are waited for.

        A shard whose checksum holds is left as it is. One that was whole and is now damaged or
        missing is named in the log and made again. `advance` is told how many images are done.
        """
        counts, waiting = Counts(), list(shards)
        for wait in (False, True):
            left = []
            for index in waiting:
                with _locked(self.folder / f"{self._path(index).stem}.lock", wait) as mine:
                    if not mine:
                        left.append(index)
                    elif self.folder.exists():  # otherwise somebody has assembled all of them
                        self._make_whole(index, find, advance, counts)
            waiting = left
        return counts

    def assemble(self, out: Path) -> None:
        """Put the shards, all of them whole, into `out` instead of what is there.

        They stay here, too: whoever loses `out` (DVC deletes a stage's outputs before it runs
        again) needs not repeat them.
        """
        out.mkdir(parents=True, exist_ok=True)
        for path in out.glob("shard-*"):
            path.unlink()
        for index in range(len(self.plan)):
            source = self._path(index)
            try:
                (out / source.name).hardlink_to(source)
            except OSError:  # another disk, or one without links
                shutil.copyfile(source, out / source.name)

    def _make_whole(
        self, index: int, find: Find, advance: Callable[[int], object], counts: Counts
    ) -> None:
        ids, path = self.plan[index], self._path(index)
        seal, log = (self.folder / f"{path.stem}{suffix}" for suffix in (".json", ".log"))
        if path.exists() and seal.exists():
            sealed = json.loads(seal.read_text("ascii"))
            if sealed["sha256"] == _sha256(path):
                log.unlink(missing_ok=True)
                counts.instances += sealed["instances"]
                counts.resumed_images += len(ids)
                advance(len(ids))
                return
            logger.warning("%s: damaged, its checksum is wrong; it is made again", path)
        elif seal.exists():
            logger.warning("%s: missing; it is made again", path)
        writer = ShardWriter(log, path, ids, self.names)
        try:
            counts.resumed_images += len(writer.finished)
            advance(len(writer.finished))
            for item in find([image_id for image_id in ids if image_id not in writer.finished]):
                writer.append(item)
                advance(1)
            writer.finish()
        finally:
            writer.close()
        counts.instances += writer.instances
        write_json(seal, {"sha256": _sha256(path), "instances": writer.instances})
        log.unlink()  # which is several times as large

    def _path(self, index: int) -> Path:
        return shard_path(self.folder / "shards", index, len(self.plan))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Counts:
    """What the shards of one process hold, and how many of their images were there before it."""

    instances: int = 0
    resumed_images: int = 0


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock between processes; yields whether it is held, which it is after a wait."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                yield False
                return
            logger.info("%s: another process is at work on this shard, waiting", path.stem)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True
