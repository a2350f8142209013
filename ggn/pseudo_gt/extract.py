"""Extraction of a dataset's candidates: shards, done by any number of processes, then assembled."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import write_json
from ggn.pseudo_gt.store import (
    ImageCandidates,
    ShardWriter,
    plan_shards,
    shard_path,
)

IMAGES_PER_SHARD = 2000
LEAST_SHARDS = 64  # as long as there are images: small datasets, too, can be shared out

Extract = Callable[[Iterable[int]], Iterator[ImageCandidates]]
"""Finds the candidates of some images, in any order."""

Affinity = NDArray[np.float32]
Load = Callable[[], Callable[[Path], Affinity]]
"""Loads the network, to predict the affinity (H, W) of an image file."""
Group = Callable[[int, Affinity], ImageCandidates]
"""Groups the affinity of an image, given its id."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extraction:
    """One extraction in a scratch folder that all its processes see.

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
    def of(cls, folder: Path, image_ids: Sequence[int], names: Sequence[str]) -> Extraction:
        """Plan the extraction of a dataset."""
        shards = max(-(-len(image_ids) // IMAGES_PER_SHARD), min(len(image_ids), LEAST_SHARDS), 1)
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
        self, shards: Iterable[int], extract: Extract, advance: Callable[[int], object]
    ) -> Counts:
        """Make every one of `shards` whole: those that others work on are waited for.

        A shard whose checksum holds is left as it is. One that was whole and is now damaged or
        missing is named in the log and made again, from the images in its scratch log where that
        is left. `advance` is told how many images are done.
        """
        counts, waiting = Counts(), list(shards)
        for wait in (False, True):
            left = []
            for index in waiting:
                with _locked(self.folder / f"{self._path(index).stem}.lock", wait) as mine:
                    if not mine:
                        left.append(index)
                    elif self.folder.exists():  # otherwise somebody has assembled all of them
                        self._make_whole(index, extract, advance, counts)
            waiting = left
        return counts

    def assemble(self, out: Path) -> None:
        """Move the shards, all of them whole, into `out` instead of what is there."""
        out.mkdir(parents=True, exist_ok=True)
        for path in out.glob("shard-*"):
            path.unlink()
        for index in range(len(self.plan)):
            shutil.move(self._path(index), out)

    def _make_whole(
        self, index: int, extract: Extract, advance: Callable[[int], object], counts: Counts
    ) -> None:
        ids, path = self.plan[index], self._path(index)
        seal = self.folder / f"{path.stem}.json"
        if path.exists() and seal.exists():
            sealed = json.loads(seal.read_text("ascii"))
            if sealed["sha256"] == _sha256(path):
                counts.candidates += sealed["candidates"]
                _say_resumed(path, len(ids))
                advance(len(ids))
                return
            logger.warning("%s: damaged, its checksum is wrong; it is made again", path)
        elif seal.exists():
            logger.warning("%s: missing; it is made again", path)
        writer = ShardWriter(self.folder / f"{path.stem}.log", path, ids, self.names)
        try:
            _say_resumed(path, len(writer.finished))
            advance(len(writer.finished))
            for item in extract([image_id for image_id in ids if image_id not in writer.finished]):
                writer.append(item)
                advance(1)
            writer.finish()
        finally:
            writer.close()
        counts.candidates += writer.candidates
        write_json(seal, {"sha256": _sha256(path), "candidates": writer.candidates})

    def _path(self, index: int) -> Path:
        return shard_path(self.folder / "shards", index, len(self.plan))


def _say_resumed(shard: Path, images: int) -> None:
    if images:
        logger.info("%s: %d images were done before", shard.stem, images)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Counts:
    """What the shards hold: a result, the same however often the extraction was interrupted."""

    candidates: int = 0


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


def on_threads(load: Load, group: Group, files: Mapping[int, Path]) -> Extract:
    """Return what extracts images on this machine: a thread per core groups, two predict."""
    predict, predicting = load(), Semaphore(2)
    threads = len(os.sched_getaffinity(0)) + 1

    def extract_one(image_id: int) -> ImageCandidates:
        try:
            with predicting:
                affinity = predict(files[image_id])
            return group(image_id, affinity)
        except Exception as error:
            raise RuntimeError(f"image {image_id} ({files[image_id]}): {error}") from error

    def extract(image_ids: Iterable[int]) -> Iterator[ImageCandidates]:
        ahead: deque[Future[ImageCandidates]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for image_id in image_ids:
                    ahead.append(pool.submit(extract_one, image_id))
                    if len(ahead) > 2 * threads:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    return extract


def run_workers(module: str, arguments: Sequence[str], shards: int, gpus: int) -> None:
    """Run `python -m MODULE ARGUMENTS --shards N --shard K` for all K at once; GPUs are dealt out.

    Raises:
        RuntimeError: naming the workers that failed; the others went on to their end.
    """
    workers = []
    for shard in range(shards):
        environment = dict(os.environ)
        if gpus:
            visible = environment.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
            environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[shard % gpus]
        words = [*arguments, "--shards", str(shards), "--shard", str(shard)]
        workers.append(
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, *words], env=environment, stdout=subprocess.DEVNULL
            )
        )
    failed = [shard for shard, worker in enumerate(workers) if worker.wait() != 0]
    if failed:
        raise RuntimeError(f"{module}: of {shards} workers these failed: {failed}")
