"""Predictions by many processes: whatever is killed, lost or damaged, the bytes are the same."""

import importlib.util
import json
import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from ggn.core.coco import read_coco
from ggn.data.images import read_image
from ggn.detector import DetectorParams, MaskRCNN, load_detector
from ggn.engine.weights import save_weights
from ggn.evaluation import evaluate_partitions
from ggn.store import work
from ggn.store.export import export_coco_results
from ggn.store.read import Store
from pipelines import evaluate, predict, prepare

IMAGES = 16
PREDICTIONS = Path("data/mine/predictions/ggn")
DETECTOR = {
    "backbone": {
        "name": "resnet10",
        "width": 8,
        "norm": "group",
        "weights": None,
        "frozen_stages": 0,
    },
    "max_size": [96, 96],
    "fpn_channels": 16,
    "box": {"pool_size": 3, "channels": 16},
    "detection": {"max_detections": 30},
    "precision": "32-true",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the split `mine` has images, an untrained detector and its predictions."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        shapes = {"train_images": 1, "val_images": IMAGES, "max_size": 112}
        sections: dict[str, Any] = {
            "data": {"source": "shapes", "seen": ["disc"], "shapes": shapes},
            "affinity": {"backbone": {"weights": None}},
            "grouping": {},
            "pseudo_gt": {},
            "detector": DETECTOR,
            "evaluation": {},
        }
        document = {"seed": 0, "active": ["mine"], "defaults": {}, "splits": {"mine": sections}}
        YAML().dump(document, Path("params.yaml"))
        prepare.main("mine")
        torch.manual_seed(0)
        params = DetectorParams.model_validate(DETECTOR)
        card = {"kind": "detector", "params": params.model_dump()}
        save_weights(MaskRCNN(params), Path("models/mine/ggn"), card)
        predict.main("mine", "ggn")
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
    """A copy of it without the predictions."""
    shutil.copytree(made, tmp_path / "project", ignore=shutil.ignore_patterns("predictions"))
    enter(tmp_path / "project", monkeypatch)
    return tmp_path / "project"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def done() -> int:
    """Number of images that need not be done again: in logs, and in shards of one each."""
    logged = sum(log.read_bytes().count(b"\n") for log in Path(".scratch").rglob("*.log"))
    return logged + sum(1 for _ in Path(".scratch").rglob("*.json"))


def test_the_store_holds_what_the_detector_finds(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(made, monkeypatch)
    detector = load_detector("models/mine/ggn")
    images = read_coco(Path("data/mine/prepared/val.json"))["images"]
    stored = Store(PREDICTIONS)
    assert stored.images == IMAGES
    assert stored.feature_names == []
    for image in images[:4]:
        found = detector.predict(read_image(Path("data/mine/prepared/val") / image["file_name"]))
        item = stored.read(image["id"])
        assert item.instances.masks == found.masks
        assert item.instances.scores.tolist() == found.scores.tolist()
        assert len(found) > 0


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_neither_workers_nor_threads_change_a_byte(
    project: Path, made: Path, workers: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    for worker in range(workers if workers > 1 else 0):
        predict.main("mine", "ggn", shards=workers, shard=worker)
        assert not PREDICTIONS.exists()
    predict.main("mine", "ggn")
    assert contents(PREDICTIONS) == contents(made / PREDICTIONS)
    assert not list(Path(".scratch").rglob("*.log"))


def test_a_damaged_shard_is_made_again_and_a_foreign_one_replaced(
    project: Path, made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(made / PREDICTIONS, PREDICTIONS)
    (PREDICTIONS / "shard-00000-of-00099.parquet").write_bytes(b"of another dataset")
    predict.main("mine", "ggn", shards=1, shard=0)
    (path,) = Path(".scratch").rglob("shard-00007-of-00016.parquet")
    path.write_bytes(path.read_bytes()[:100])
    predict.main("mine", "ggn")
    named = [record.message for record in caplog.records if "making it again" in record.message]
    assert named == [f"{path}: damaged, its checksum is wrong; making it again"]
    assert f"{IMAGES - 1} images were already done" in caplog.text
    assert contents(PREDICTIONS) == contents(made / PREDICTIONS)


def test_evaluating_the_store_or_its_export_gives_the_same_numbers(
    project: Path, made: Path
) -> None:
    shutil.copytree(made / PREDICTIONS, PREDICTIONS)
    evaluate.main("mine", "ggn")
    report = json.loads(Path("reports/mine/ggn/evaluation.json").read_text())
    assert report["all/mask_AR_100"] >= 0
    export_coco_results(Store(PREDICTIONS), Path("found.json"))
    val, partitions = Path("data/mine/prepared/val.json"), {"all": None}
    of_store, of_file = (
        evaluate_partitions(val, found, partitions) for found in (PREDICTIONS, Path("found.json"))
    )
    assert of_store == of_file


ONE_IMAGE_PER_SHARD = """
from ggn.store import work
from pipelines import predict
work.LEAST_IMAGES_PER_SHARD = 1
load = predict.load_predictor
def counting(weights):
    find = load(weights)
    def counted(file):
        found = find(file)
        with open("predicted", "a") as names:
            print(file.name, file=names)
        return found
    return counted
predict.load_predictor = counting
predict.main("mine", "ggn", 2, {})
"""


@pytest.mark.slow
def test_two_workers_killed_ten_times_predict_no_image_twice(project: Path, made: Path) -> None:
    """But for the one that each kill catches between its prediction and its line in the log."""
    processes = multiprocessing.get_context("forkserver")  # which imports torch once
    processes.set_forkserver_preload(["pipelines.predict"])

    def start(shard: int | None) -> Any:
        process = processes.Process(target=exec, args=(ONE_IMAGE_PER_SHARD.format(shard), {}))
        process.start()
        return process

    rng, kills, workers = random.Random(0), 0, [start(shard) for shard in range(2)]
    start_of_all = time.monotonic()
    while kills < 10:
        assert time.monotonic() < start_of_all + 300
        time.sleep(rng.uniform(0, 0.6))
        shard = rng.randrange(2)
        workers[shard].kill()
        workers[shard].join()
        kills += workers[shard].exitcode == -signal.SIGKILL  # it had not ended by itself
        workers[shard] = start(shard)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert done() == IMAGES
    predicted = Path("predicted").read_text().splitlines()
    assert len(set(predicted)) == IMAGES
    assert len(predicted) <= IMAGES + kills
    predict.main("mine", "ggn")
    assert contents(PREDICTIONS) == contents(made / PREDICTIONS)
