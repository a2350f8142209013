"""Extraction by many processes: whatever is killed, lost or damaged, the bytes are the same."""

import importlib.util
import json
import multiprocessing
import random
import shutil
import signal
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML

from ggn.affinity import AffinityParams, AffinityPredictor
from ggn.affinity.model import AffinityNet
from ggn.core.coco import read_coco
from ggn.data.mask_store import store_of
from ggn.engine.weights import save_weights
from ggn.store import work
from ggn.store.read import Store
from pipelines import evaluate_affinity, extract_regions, prepare, select_pseudo_gt

IMAGES = 24
CANDIDATES = Path("data/mine/candidates")
REPORT = Path("reports/mine/extraction.json")
TINY = {
    "backbone": {"name": "resnet10", "width": 8, "norm": "group", "weights": None},
    "pool_channels": 8,
    "head_channels": 8,
    "head_norm": "group",
    "precision": "32-true",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the split `mine` has images, an untrained network and its candidates."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        write_params({})
        prepare.main("mine")
        torch.manual_seed(0)
        params = AffinityParams.model_validate(TINY)
        card = {"kind": "affinity", "params": params.model_dump()}
        save_weights(AffinityNet(params), Path("models/mine/affinity"), card)
        extract_regions.main("mine")
    return folder


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder, without MLflow; an image is a shard, so that there are some to share."""
    find_spec = importlib.util.find_spec
    without = lambda name, *a: None if name == "mlflow" else find_spec(name, *a)  # noqa: E731
    patch.setattr(importlib.util, "find_spec", without)
    patch.setattr(work, "LEAST_IMAGES_PER_SHARD", 1)
    patch.chdir(folder)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it without the candidates."""
    shutil.copytree(made, tmp_path / "project", ignore=shutil.ignore_patterns("candidates"))
    enter(tmp_path / "project", monkeypatch)
    return tmp_path / "project"


def write_params(grouping: dict[str, Any], pseudo_gt: dict[str, Any] | None = None) -> None:
    shapes = {"train_images": IMAGES, "val_images": 1, "max_size": 112}
    sections: dict[str, Any] = {
        "data": {"source": "shapes", "seen": ["disc"], "shapes": shapes},
        "affinity": TINY,
        "grouping": {"min_area": 20, **grouping},
        "pseudo_gt": pseudo_gt or {},
        "detector": {"backbone": {"weights": None, "norm": "group", "frozen_stages": 0}},
        "evaluation": {},
    }
    document = {"seed": 0, "active": ["mine"], "defaults": {}, "splits": {"mine": sections}}
    YAML().dump(document, Path("params.yaml"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def done() -> int:
    """Number of images that need not be done again: in logs, and in shards of one each."""
    logged = sum(log.read_bytes().count(b"\n") for log in Path(".scratch").rglob("*.log"))
    return logged + sum(1 for _ in Path(".scratch").rglob("*.json"))


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_the_number_of_workers_changes_no_byte(
    project: Path, made: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    for worker in range(workers):
        extract_regions.main("mine", shards=workers, shard=worker)
        assert not CANDIDATES.exists()
    assert done() == IMAGES
    extract_regions.main("mine")
    assert contents(CANDIDATES) == contents(made / CANDIDATES)
    counts = json.loads(REPORT.read_text())
    assert counts == json.loads((made / REPORT).read_text())
    assert f"{IMAGES} images were already done" in caplog.text
    assert counts["candidates"] > IMAGES
    assert not list(Path(".scratch").rglob("*.log"))


def test_what_an_earlier_extraction_left_is_replaced(project: Path, made: Path) -> None:
    shutil.copytree(made / CANDIDATES, CANDIDATES)
    (CANDIDATES / "shard-00000-of-00099.parquet").write_bytes(b"of another dataset")
    extract_regions.main("mine")
    assert contents(CANDIDATES) == contents(made / CANDIDATES)


def test_there_is_no_worker_beyond_the_last(project: Path) -> None:
    with pytest.raises(ValueError, match="shard must be from 0 to 3, got 4"):
        extract_regions.main("mine", shards=4, shard=4)


@pytest.mark.parametrize("damage", ["missing", "cut", "damaged"])
def test_only_a_missing_or_damaged_shard_is_made_again(
    project: Path, made: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    extract_regions.main("mine", shards=1, shard=0)
    (path,) = Path(".scratch").rglob("shard-00007-of-00024.parquet")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = bytes([content[0] ^ 1, *content[1:]])
        path.write_bytes(content[:100] if damage == "cut" else flipped)
    extract_regions.main("mine")
    named = [record.message for record in caplog.records if "making it again" in record.message]
    fault = "missing" if damage == "missing" else "damaged, its checksum is wrong"
    assert named == [f"{path}: {fault}; making it again"]
    assert contents(CANDIDATES) == contents(made / CANDIDATES)
    assert f"{IMAGES - 1} images were already done" in caplog.text


def test_a_faulty_image_is_named_and_the_others_are_kept(project: Path) -> None:
    images = read_coco(Path("data/mine/training/baseline.json"))["images"]
    faulty = Path("data/mine/prepared/train") / images[20]["file_name"]
    faulty.write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=f"image {images[20]['id']} .*{faulty.name}"):
        extract_regions.main("mine")
    assert done() >= 10


ONE_IMAGE_PER_SHARD = """
from ggn.store import work
from pipelines import extract_regions
work.LEAST_IMAGES_PER_SHARD = 1
extract_regions.main("mine", 4, {})
"""


@pytest.mark.slow
def test_four_workers_killed_twenty_times_end_in_the_same_bytes(
    project: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`kill -9` at random moments: while they start, extract, write a shard, assemble."""
    processes = multiprocessing.get_context("forkserver")  # which imports torch once
    processes.set_forkserver_preload(["pipelines.extract_regions"])

    def start(shard: int | None) -> Any:
        process = processes.Process(target=exec, args=(ONE_IMAGE_PER_SHARD.format(shard), {}))
        process.start()
        return process

    rng, kills, workers = random.Random(0), 0, [start(shard) for shard in range(4)]
    start_of_all = time.monotonic()
    while kills < 20:
        assert time.monotonic() < start_of_all + 300
        time.sleep(rng.uniform(0, 0.3))
        shard = rng.randrange(4)
        workers[shard].kill()
        workers[shard].join()
        kills += workers[shard].exitcode == -signal.SIGKILL  # it had not ended by itself
        workers[shard] = start(shard)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert done() == IMAGES
    extract_regions.main("mine")
    assert contents(CANDIDATES) == contents(made / CANDIDATES)
    assert f"{IMAGES} images were already done" in caplog.text
    assert len(list(Store(CANDIDATES).read_all(range(1, IMAGES + 1)))) == IMAGES


@pytest.mark.ray
@pytest.mark.slow
def test_a_ray_cluster_that_loses_workers_ends_in_the_same_bytes(project: Path, made: Path) -> None:
    """Three workers on one machine: `kill -9` the one that predicts, then one that groups."""
    ray = pytest.importorskip("ray", reason="needs ray: make ray")
    environment = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    on_terminate = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=3,
            num_gpus=0,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            object_store_memory=100 * 2**20,
            runtime_env=environment,
        )
        try:
            killed: list[str] = []
            killer = threading.Thread(target=kill_workers, args=(killed,))
            killer.start()
            extract_regions.main("mine", runner="ray")
            killer.join()
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, on_terminate)  # Ray leaves its own behind
    assert killed == ["ray::Predictor", "ray::finish_image"]
    assert contents(CANDIDATES) == contents(made / CANDIDATES)


def kill_workers(killed: list[str]) -> None:
    """`kill -9` a worker of each kind once two images more are done than before."""
    import psutil  # which comes with DVC

    for title in ("ray::Predictor", "ray::finish_image"):
        wanted, deadline = done() + 2, time.monotonic() + 120
        while done() < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        while time.monotonic() < deadline and title not in killed:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # it has ended by itself
                    if process.cmdline()[0].startswith(title):
                        process.kill()
                        killed.append(title)
                        break


def test_masks_of_a_reduced_extraction_come_back_to_the_original_size(project: Path) -> None:
    write_params({"longest_side": 40})
    extract_regions.main("mine")
    images = read_coco(Path("data/mine/training/baseline.json"))["images"]
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    for item in Store(CANDIDATES).read_all(list(sizes)):
        height, width = sizes[item.image_id]
        scale = 40 / max(height, width)
        assert item.instances.image_size_hw == (round(height * scale), round(width * scale))
    Path("data/mine/candidate_scores.json").write_text("[]")
    select_pseudo_gt.main("mine")
    lists = json.loads(Path("data/mine/pseudo_gt/interchange.json").read_text())
    found = [record for entry in lists for record in entry]
    assert len(found) > IMAGES
    for record in found:
        assert tuple(record["orig_shape"]) == sizes[record["image_id"]]
        assert tuple(record["segmentation"]["size"]) == sizes[record["image_id"]]


def test_the_affinity_is_measured_as_extraction_has_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that no image exceeds changes nothing; one that all do shrinks what is seen."""
    predict, seen = AffinityPredictor.predict, []

    def watched(network: AffinityPredictor, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(max(image.shape[:2]))
        return predict(network, image)

    monkeypatch.setattr(AffinityPredictor, "predict", watched)
    reports = []
    for longest_side in (None, 112, 40):
        write_params({"longest_side": longest_side})
        evaluate_affinity.main("mine")
        reports.append(json.loads(Path("reports/mine/affinity.json").read_text()))
    assert reports[0] == reports[1]
    assert seen[0] == seen[1] > seen[2] == 40
    assert 0 < reports[2]["inner_pixels"] < reports[0]["inner_pixels"]


def test_the_store_holds_what_the_json_files_hold(project: Path) -> None:
    extract_regions.main("mine")
    Path("data/mine/candidate_scores.json").write_text("[]")
    select_pseudo_gt.main("mine")
    lists = json.loads(Path("data/mine/pseudo_gt/interchange.json").read_text())
    shutil.rmtree("data/mine/pseudo_gt")  # as DVC does
    write_params({}, {"per_image": True})
    select_pseudo_gt.main("mine")
    training = read_coco(Path("data/mine/training/ggn.json"))
    assert (
        training["annotations"]
        == read_coco(Path("data/mine/training/baseline.json"))["annotations"]
    )
    store = store_of(training)
    assert store is not None
    assert store.image_ids.tolist() == [image["id"] for image in training["images"]]
    for (_, masks, overlap), entry in zip(store, lists, strict=True):
        assert masks.masks == [record["segmentation"] for record in entry]
        assert overlap == pytest.approx([record["gt_iou"] for record in entry])
