"""Work without a network: shares, locks, threads, processes."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ggn.core import Instances
from ggn.store import work as module
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.work import Work
from ggn.store.workers import on_threads, run_workers


def found(image_id: int, _: object = None) -> ImageInstances:
    """Instances that tell of which image they are: one pixel, `image_id` as the feature."""
    bitmap = np.zeros((1, 4, 5), dtype=np.uint8)
    bitmap[0, image_id % 4, image_id % 5] = 1
    instances = Instances.from_bitmaps(bitmap, np.array([0.5]))
    return ImageInstances(image_id, instances, np.full((1, 1), image_id, dtype=np.float32))


def test_the_plan_follows_from_the_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES_PER_SHARD", 3)
    monkeypatch.setattr(module, "LEAST_SHARDS", 2)
    monkeypatch.setattr(module, "LEAST_IMAGES_PER_SHARD", 1)
    of = lambda n: Work.of(Path("x"), range(n), ["id"]).plan  # noqa: E731
    assert of(0) == [[]]
    assert of(1) == [[0]]
    assert of(3) == [[0, 1], [2]]
    assert of(7) == [[0, 1, 2], [3, 4], [5, 6]]


def test_small_datasets_pay_for_few_shards_and_large_ones_can_be_shared_out() -> None:
    shards = {
        n: len(Work.of(Path("x"), range(n), []).plan) for n in (1, 127, 150, 600, 5000, 300000)
    }
    assert shards == {1: 1, 127: 1, 150: 2, 600: 9, 5000: 64, 300000: 150}


def one_image_per_shard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "LEAST_IMAGES_PER_SHARD", 1)


def test_shares_are_all_shards_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_image_per_shard(monkeypatch)
    work = Work.of(tmp_path, range(7), ["id"])
    assert [work.share(worker, 3) for worker in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    with pytest.raises(ValueError, match="shard must be from 0 to 2, got -1"):
        work.share(-1, 3)


def test_a_shard_at_work_elsewhere_is_left_for_last_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_image_per_shard(monkeypatch)
    work = Work.of(tmp_path, range(3), ["id"])
    working, end, done = threading.Event(), threading.Event(), []

    def slowly(ids: list[int]) -> list[ImageInstances]:
        working.set()
        assert end.wait(20)
        return [found(i) for i in ids]

    def quickly(ids: list[int]) -> list[ImageInstances]:
        done.extend(ids)
        return [found(i) for i in ids]

    advance = lambda n: None  # noqa: E731
    other = threading.Thread(target=lambda: work.run([0], slowly, advance))  # type: ignore[arg-type]
    other.start()
    assert working.wait(20)
    mine = threading.Thread(target=lambda: work.run(range(3), quickly, advance))  # type: ignore[arg-type]
    mine.start()
    deadline = time.monotonic() + 20
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    end.set()
    other.join()
    mine.join()
    assert done == [1, 2]
    work.assemble(tmp_path / "out")
    assert [item.image_id for item in Store(tmp_path / "out").read_all(range(3))] == [0, 1, 2]


def test_threads_find_all_and_name_the_image_that_fails() -> None:
    def group(image_id: int, affinity: str) -> ImageInstances:
        assert affinity == f"map of {image_id}.png"
        if image_id == 30:
            raise ValueError("too dark")
        return found(image_id)

    files = {image_id: Path(f"{image_id}.png") for image_id in range(40)}
    run = on_threads(lambda: lambda file: f"map of {file}", group, files)  # type: ignore
    assert [item.image_id for item in run(range(30))] == list(range(30))
    with pytest.raises(RuntimeError, match=r"image 30 \(30.png\): too dark"):
        list(run(range(40)))


def test_workers_get_a_share_and_a_gpu_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "import os, sys\nopen('-'.join(sys.argv[1:]), 'x').write(os.environ['CUDA_VISIBLE_"
    (tmp_path / "worker_of_test.py").write_text(
        module + "DEVICES'])\nsys.exit('gone' if sys.argv[-1] == '1' else 0)"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with pytest.raises(RuntimeError, match=r"worker_of_test: 1 of 3 workers failed: \[1\]"):
        run_workers("worker_of_test", ["mine"], 3, gpus=2)
    told = {path.name: path.read_text() for path in tmp_path.glob("mine*")}
    assert told == {f"mine---shards-3---shard-{k}": gpu for k, gpu in enumerate(["4", "6", "4"])}
