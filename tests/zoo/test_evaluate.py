"""`ggn zoo evaluate`: a detector on its row's validation set, beside the published numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ggn.data.params import DataParams
from ggn.evaluation import EvaluationParams, evaluate
from ggn.zoo.evaluate import evaluate_weights, measured_on, read_validation

ROOT = Path(__file__).parents[2]
PARAMS = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text("utf-8"))
VALIDATION = "annotations/instances_val2017.json"


@pytest.fixture
def row(
    tmp_path: Path, official: Callable[[str, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The shipped params and COCO's validation set; of the training data there is nothing."""
    coco = official("coco", tmp_path / "data/raw/coco")
    shutil.rmtree(coco / "train2017")
    (coco / "annotations/instances_train2017.json").unlink()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return coco


def test_the_command_puts_a_detector_beside_the_published_numbers(
    row: Path, weights: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ggn("zoo", "evaluate", "coco_voc") == 1
    assert "`ggn zoo fetch coco_voc --file ggn` brings" in capsys.readouterr().err
    shutil.copytree(weights / "detector", "releases/coco_voc/ggn")
    assert ggn("zoo", "evaluate", "coco_voc") == 0
    said = capsys.readouterr().out
    assert "coco_voc: unseen objects, in percent" in said
    assert "[1] COCO val2017, the 60 others, 4 images: measured here" in said
    assert "28.7" in said
    results = Path("evaluation/coco_voc-ggn-predictions.json")
    report = json.loads(Path("evaluation/coco_voc-ggn.json").read_text())
    assert report["protocol"] == "budget"
    expected = evaluate(row / VALIDATION, results, unseen="nonvoc")
    assert report["unseen/mask_AR_100"] == expected["AR_100"]
    assert f"{100 * expected['AR_100']:.1f}" in said
    assert not list(Path(".scratch/zoo_evaluate").iterdir())


def test_a_part_of_the_images_is_said_to_be_one(
    row: Path, weights: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--weights", weights / "detector", "--max-images", 3)
    assert ggn("zoo", "evaluate", "coco_voc", *words) == 0
    assert "the 60 others, 3 images only: not comparable: measured" in capsys.readouterr().out


@pytest.mark.parametrize("killed", [1, 3])
def test_after_a_kill_it_goes_on(row: Path, weights: Path, tmp_path: Path, killed: int) -> None:
    validation = read_validation(DataParams(**PARAMS["splits"]["coco_voc"]["data"]))

    def run(follow: Any, scratch: str) -> Any:
        params = EvaluationParams()
        return evaluate_weights(
            weights / "detector", validation, params, tmp_path / scratch, "cpu", follow
        )

    def follow_to_the_kill(images: list[Any]) -> Any:
        yield from images[:killed]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(follow_to_the_kill, "killed")
    (log,) = (tmp_path / "killed").iterdir()
    assert log.read_bytes().count(b"\n") == killed
    with log.open("ab") as file:
        file.write(b'[{"image_id": 10')  # what a kill leaves of a line
    assert run(iter, "killed") == run(iter, "whole")


def test_each_row_has_the_partitions_that_its_files_tell(
    official: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    coco = official("coco", tmp_path / "coco")
    names = {
        "coco_voc": ["seen", "unseen", "all"],
        "coco_person": ["seen", "unseen", "all"],
        "lvis_noncoco": ["all"],
    }
    for split, partitions in names.items():
        data = PARAMS["splits"][split]["data"]
        root = "val_root" if "val_root" in data else "root"
        validation = read_validation(DataParams(**{**data, root: str(coco)}))
        assert list(validation.partitions) == partitions
    person = read_validation(DataParams(root=str(coco), seen="person"))
    assert len(person.partitions["unseen"] or ()) == 79
    facts = measured_on("coco_voc", person, None)
    assert facts == "COCO val2017, the 60 others, 4 images"


def test_synthetic_images_are_left_to_the_pipeline() -> None:
    with pytest.raises(ValueError, match="`dvc repro` draws these images"):
        read_validation(DataParams(source="shapes"))
