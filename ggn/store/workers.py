"""Distributes work over the threads of this process and over other processes of this machine."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Semaphore
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ggn.store.cluster import on_ray
from ggn.store.parquet import ImageInstances
from ggn.store.work import Counts, FindInImages, Finish, Load, Work

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workers:
    """How work is divided, as given to one call of a command."""

    module: str
    """A worker runs `python -m MODULE ARGUMENTS --runner RUNNER --shards N --shard K`."""
    arguments: Sequence[str]
    runner: str
    """`local` (threads of each process) or `ray`."""
    shards: int | None
    """Number of workers; None: one per GPU, unless there is a cluster or no GPU."""
    shard: int | None
    """Number of this worker; None: this process starts the workers and does what they left."""
    gpus: int
    """Number of GPUs that this process sees."""

    @property
    def count(self) -> int:
        """Number of workers."""
        return self.shards or (self.gpus if self.runner == "local" else 0) or 1

    def find(self, load: Load, finish: Finish, files: Mapping[int, Path]) -> FindInImages:
        """Return a function that finds the instances of images, given their files by id."""
        if self.runner == "ray":
            return on_ray(load, finish, files)
        return on_threads(load, finish, files, predicting=2 if self.gpus else None)

    def carry_out(self, work: Work, find: FindInImages, console: Console) -> Counts:
        """Do this process's share. If it is not a worker, all shards are complete on return.

        Raises:
            ValueError: there is no such worker.
            RuntimeError: workers failed, or an image did, which is named.
        """
        mine = work.share(*((0, 1) if self.shard is None else (self.shard, self.count)))
        if self.shard is None and self.count > 1:
            words = [*self.arguments, "--runner", self.runner]
            run_workers(self.module, words, self.count, self.gpus)
        with Progress(console=console) as bar:
            task = bar.add_task(self.module.rpartition(".")[2], total=work.images(mine))
            counts = work.run(mine, find, partial(bar.advance, task))
        if counts.resumed_images:
            logger.info("%d images were already done", counts.resumed_images)
        return counts


def on_threads(
    load: Load, finish: Finish, files: Mapping[int, Path], predicting: int | None = None
) -> FindInImages:
    """Return a function that finds the instances on this machine, with one thread per core.

    Args:
        load: called when the first image is asked for.
        finish: called on the same thread as the prediction.
        files: image files by id.
        predicting: how many threads may predict at a time, if they share a GPU.
    """
    cores = len(os.sched_getaffinity(0))
    threads = cores if predicting is None else cores + 1
    turns, loaded = Semaphore(predicting or threads), cache(load)

    def find_one(predict: Callable[[Path], Any], image_id: int) -> ImageInstances:
        try:
            with turns:
                predicted = predict(files[image_id])
            return finish(image_id, predicted)
        except Exception as error:
            raise RuntimeError(f"image {image_id} ({files[image_id]}): {error}") from error

    def find(image_ids: Iterable[int]) -> Iterator[ImageInstances]:
        ahead: deque[Future[ImageInstances]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for image_id in image_ids:
                    ahead.append(pool.submit(find_one, loaded(), image_id))
                    if len(ahead) > 2 * threads:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    return find


def run_workers(module: str, arguments: Sequence[str], shards: int, gpus: int) -> None:
    """Run `python -m MODULE ARGUMENTS --shards N --shard K` for all K at once, one GPU for each.

    Raises:
        RuntimeError: workers failed, which are named; the others ran to their end.
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
        raise RuntimeError(f"{module}: {len(failed)} of {shards} workers failed: {failed}")
