"""Work on all images of a dataset: any number of processes make shards, which are assembled."""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ggn.core.coco import write_json
from ggn.core.files import sha256
from ggn.store.parquet import ImageInstances
from ggn.store.shards import ShardWriter, plan_shards, shard_path

IMAGES_PER_SHARD = 2000
LEAST_SHARDS = 64
"""So that datasets of less than 64 × 2000 images can also be divided among many workers."""
LEAST_IMAGES_PER_SHARD = 64
"""With fewer images, the headers of the shards would take more space than their content."""

FindInImages = Callable[[Iterable[int]], Iterator[ImageInstances]]
"""Finds the instances of some images, in any order."""
Load = Callable[[], Callable[[Path], Any]]
"""Loads the network and returns its prediction for an image file; called once per process."""
Finish = Callable[[int, Any], ImageInstances]
"""Makes the instances of an image from its id and the prediction."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """The work on all images, in a scratch folder that all its processes share.

    The shards depend on the image ids alone, so the number of processes does not change a byte.
    A process locks a shard while it works on it. The lock is released whenever the process ends
    (`flock`, which a network disk must support).
    """

    folder: Path
    plan: list[list[int]]
    """The image ids of each shard."""
    names: Sequence[str]
    """Names of the feature columns."""

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

    def run(
        self, shards: Iterable[int], find: FindInImages, advance: Callable[[int], object]
    ) -> Counts:
        """Complete all of `shards`, waiting for those that other processes work on.

        A shard with a correct checksum stays as it is. If a complete shard is now damaged or
        missing, it is named in the log and made again. `advance` gets the number of images done.
        """
        counts, waiting = Counts(), list(shards)
        for wait in (False, True):
            left = []
            for index in waiting:
                with _locked(self.folder / f"{self._path(index).stem}.lock", wait) as mine:
                    if not mine:
                        left.append(index)
                    elif self.folder.exists():  # otherwise another process has assembled them all
                        self._make_whole(index, find, advance, counts)
            waiting = left
        return counts

    def assemble(self, out: Path) -> None:
        """Replace the shards in `out` by these, which must all be complete.

        They also stay here: DVC deletes the outputs of a stage before it runs again, and then they
        need not be made again.
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
        self, index: int, find: FindInImages, advance: Callable[[int], object], counts: Counts
    ) -> None:
        ids, path = self.plan[index], self._path(index)
        seal, log = (self.folder / f"{path.stem}{suffix}" for suffix in (".json", ".log"))
        if path.exists() and seal.exists():
            sealed = json.loads(seal.read_text("ascii"))
            if sealed["sha256"] == sha256(path):
                log.unlink(missing_ok=True)
                counts.instances += sealed["instances"]
                counts.resumed_images += len(ids)
                advance(len(ids))
                return
            logger.warning("%s: damaged, its checksum is wrong; making it again", path)
        elif seal.exists():
            logger.warning("%s: missing; making it again", path)
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
        write_json(seal, {"sha256": sha256(path), "instances": writer.instances})
        log.unlink()  # it is several times as large as the shard

    def _path(self, index: int) -> Path:
        return shard_path(self.folder / "shards", index, len(self.plan))


@dataclass
class Counts:
    """The instances in the shards of one process, and the images that were done before it."""

    instances: int = 0
    resumed_images: int = 0


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[bool]:
    """Take a lock between processes; yields whether it is taken, which `wait` guarantees."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                yield False
                return
            logger.info("%s: waiting for another process that works on this shard", path.stem)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True
