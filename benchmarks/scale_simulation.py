"""The sharding, locks, logs, resuming and assembly of an extraction, with 64 workers at once.

    OMP_NUM_THREADS=1 python benchmarks/scale_simulation.py --images 1200000 --workers 64 --kills 32

Everything is what `extract_regions --shards 64 --shard K` does, but for the network and the
grouping: a worker sleeps for `--seconds` instead and makes up a few small masks. Some workers are
killed (`kill -9`) and started again. Then one process checks all shards and assembles them, the
result is read back, and each image must be there exactly once. Prints where the time went: CPU
seconds of all workers together, step by step; and what was done twice.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np

from ggn.core import Instances
from ggn.core.masks import encode
from ggn.store import shards, work
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.work import Work

NAMES = ("score", "contrast")
SIZE_HW = (48, 64)
seconds: dict[str, float] = {}  # CPU time of each step in this process


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its CPU time added to a step's."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            seconds[name] = seconds.get(name, 0) + time.process_time() - start

    return call


def find(ids: Iterable[int], pause: float, masks: list[Any], made: Any) -> Iterator[ImageInstances]:
    """Make up what is found in some images, and say so in the file `made`."""
    for image_id in ids:
        time.sleep(pause)
        count = image_id % (len(masks) + 1)
        scores = np.linspace(1, 0.5, count, dtype=np.float32)
        features = np.full((count, len(NAMES)), image_id % 1000, dtype=np.float32)
        made.write(image_id.to_bytes(8, "little"))  # unbuffered: survives a kill
        yield ImageInstances(image_id, Instances(masks[:count], scores, SIZE_HW), features)


def nothing(ids: Iterable[int]) -> Iterator[ImageInstances]:
    """Find nothing where nothing is left to do."""
    assert not list(ids)
    return iter(())


def be_worker(arguments: argparse.Namespace) -> None:
    """Do the share of one worker and leave a record of its time."""
    shards.ShardWriter.append = timed("log", shards.ShardWriter.append)  # type: ignore[method-assign]
    shards.ShardWriter.finish = timed("write", shards.ShardWriter.finish)  # type: ignore[method-assign]
    shards.ShardWriter.__init__ = timed("resume", shards.ShardWriter.__init__)  # type: ignore[method-assign]
    work.sha256 = timed("seal", work.sha256)
    plan = timed("plan", Work.of)
    whole = plan(arguments.folder / "scratch", range(1, arguments.images + 1), NAMES)
    bitmaps = np.zeros((3, *SIZE_HW), dtype=np.uint8)
    for index in range(3):
        bitmaps[index, 4 * index + 3 : 30, 8 * index + 2 : 40] = 1
    mine = whole.share(arguments.worker, arguments.workers)
    with (arguments.folder / f"made-{os.getpid()}").open("ab", buffering=0) as made:
        extract = partial(find, pause=arguments.seconds, masks=encode(bitmaps), made=made)
        start = time.process_time()
        whole.run(mine, extract, bool)
    seconds["all"] = time.process_time() - start + seconds["plan"]
    seconds["start"] = time.process_time() - seconds["all"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record = arguments.folder / f"record-{os.getpid()}.json"
    record.write_text(json.dumps({"seconds": seconds, "peak_mb": peak}))


def start_worker(worker: int) -> subprocess.Popen[bytes]:
    """Start this script again as a worker."""
    words = [*sys.argv[1:], "--worker", str(worker)]
    return subprocess.Popen([sys.executable, __file__, *words])


def disturb(workers: list[subprocess.Popen[bytes]], kills: int, period: float) -> int:
    """Kill random workers that are at work, and start each again; return how many were killed."""
    rng, killed = random.Random(0), 0  # noqa: S311
    while killed < kills:
        time.sleep(period)
        alive = [index for index, process in enumerate(workers) if process.poll() is None]
        if not alive:
            break
        index = rng.choice(alive)
        workers[index].kill()
        workers[index].wait()
        workers[index], killed = start_worker(index), killed + 1
    return killed


def check(folder: Path, images: int) -> dict[str, float]:
    """Read the result back: each image once, with what was made up for it; return the seconds."""
    start, stored = time.process_time(), Store(folder)
    opened = time.process_time()
    wanted = 1
    for item in stored:
        assert item.image_id == wanted, f"image {item.image_id}, where {wanted} was to come"
        assert len(item.instances) == wanted % 4
        assert (item.features == wanted % 1000).all()
        wanted += 1
    assert wanted == images + 1, f"{images + 1 - wanted} images missing"
    read = time.process_time()
    for image_id in range(1, images + 1, max(1, images // 100)):
        assert stored.read(image_id).image_id == image_id
    found = time.process_time()
    return {"open": opened - start, "read all": read - opened, "100 by id": found - read}


def size(folder: Path, pattern: str) -> float:
    """Megabytes of the files of a pattern."""
    return sum(path.stat().st_size for path in folder.rglob(pattern)) / 1e6


def conduct(arguments: argparse.Namespace) -> None:
    """Run the workers, end the work, check the result, print the table."""
    shutil.rmtree(arguments.folder, ignore_errors=True)
    (arguments.folder / "scratch").mkdir(parents=True)
    started = time.monotonic()
    workers = [start_worker(index) for index in range(arguments.workers)]
    killed = disturb(workers, arguments.kills, arguments.period)
    assert all(process.wait() == 0 for process in workers)
    at_work = time.monotonic() - started
    logs = size(arguments.folder / "scratch", "*.log")

    whole = Work.of(arguments.folder / "scratch", range(1, arguments.images + 1), NAMES)
    begin = time.process_time()
    counts = whole.run(range(len(whole.plan)), nothing, bool)
    verified = time.process_time()
    whole.assemble(arguments.folder / "out")
    assembled = time.process_time()
    assert counts.resumed_images == arguments.images
    after = {"verify": verified - begin, "assemble": assembled - verified}
    after |= check(arguments.folder / "out", arguments.images)

    made = [np.fromfile(path, dtype="<i8") for path in arguments.folder.glob("made-*")]
    times = np.bincount(np.concatenate(made), minlength=arguments.images + 1)[1:]
    assert times.min() == 1
    print(
        f"{arguments.images:,} images, {len(whole.plan)} shards, {arguments.workers} workers, ",
        end="",
    )
    print(f"{killed} killed; {int((times - 1).sum())} images done twice; {at_work:.0f} s at work")
    print(f"logs left: {logs:.0f} MB; shards: {size(arguments.folder / 'out', '*.parquet'):.0f} MB")
    records = [json.loads(path.read_text()) for path in arguments.folder.glob("record-*")]
    steps = ("start", "plan", "resume", "log", "write", "seal", "all")
    total = {step: sum(record["seconds"].get(step, 0) for record in records) for step in steps}
    print("\n| step | CPU seconds | of it per image, microseconds |\n|---|---:|---:|")
    for step, value in {**total, **after}.items():
        print(f"| {step} | {value:.1f} | {1e6 * value / arguments.images:.1f} |")
    print(f"\nworkers' memory, at most: {max(record['peak_mb'] for record in records):.0f} MB")


def main() -> None:
    """Conduct the simulation, or be one of its workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_200_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--period", type=float, default=3.0, help="Seconds between two kills.")
    parser.add_argument("--seconds", type=float, default=0.0, help="What an image takes.")
    parser.add_argument("--folder", type=Path, default=Path("build/scale_simulation"))
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    (conduct if arguments.worker is None else be_worker)(arguments)


if __name__ == "__main__":
    main()
