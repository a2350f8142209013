"""Nothing unseen is looked at: without its annotations the same bytes come out."""

import importlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ggn.affinity.params import NAMED_RECIPES
from ggn.core.coco import read_coco
from ggn.pseudo_gt import learn

ROOT = Path("data/raw/mine")
TINY = {
    **NAMED_RECIPES["photographs"],
    "backbone": {"name": "resnet10", "width": 8, "norm": "group", "weights": None},
    "pool_channels": 8,
    "head_channels": 8,
    "epochs": 6,
    "warmup_steps": 0,
    "crop_size": 64,
    "lr": 0.01,
}
STAGES = ("prepare", "train_affinity", "extract_regions", "select_pseudo_gt")


def stage(name: str) -> None:
    importlib.import_module(f"pipelines.{name}").main("mine")


def write_params(data: dict[str, Any]) -> None:
    sections: dict[str, Any] = {
        "data": {"seen": ["disc", "rectangle", "triangle"], **data},
        "affinity": TINY,
        "grouping": {"min_area": 20},
        "pseudo_gt": {"rank": "learned"},
        "detector": {"backbone": {"weights": None, "norm": "group", "frozen_stages": 0}},
        "evaluation": {},
    }
    document = {"seed": 0, "active": ["mine"], "defaults": {}, "splits": {"mine": sections}}
    YAML().dump(document, Path("params.yaml"))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Synthetic images in the official layout, annotations of all families in one file."""
    find_spec = importlib.util.find_spec
    without = lambda name, *a: None if name == "mlflow" else find_spec(name, *a)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setattr(learn, "MIN_HITS", 1)  # there are few images
    folder = tmp_path / "made"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_params(
        {"source": "shapes", "shapes": {"train_images": 20, "val_images": 1, "max_size": 112}}
    )
    stage("prepare")
    prepared, annotations = Path("data/mine/prepared"), ROOT / "annotations"
    annotations.mkdir(parents=True)
    seen, hidden = read_coco(Path("data/mine/training/baseline.json")), prepared / "hidden.json"
    everything = [*seen["annotations"], *read_coco(hidden)["annotations"]]
    whole = {**seen, "annotations": [{**a, "id": i} for i, a in enumerate(everything, start=1)]}
    (annotations / "instances_train2017.json").write_text(json.dumps(whole))
    shutil.copy(prepared / "val.json", annotations / "instances_val2017.json")
    shutil.copytree(prepared / "train", ROOT / "train2017")
    shutil.copytree(prepared / "val", ROOT / "val2017")
    return folder


def results() -> dict[str, bytes]:
    """What training, extraction and selection write, but for the reports."""
    folders = ("models/mine/affinity", "data/mine/candidates", "data/mine/pseudo_gt")
    files = [file for folder in folders for file in sorted(Path(folder).iterdir())]
    files += sorted(Path("data/mine/training").iterdir())
    return {str(file): file.read_bytes() for file in files}


@pytest.mark.slow
def test_without_the_unseen_annotations_the_same_bytes_come_out(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made = ROOT / "annotations" / "instances_train2017.json", {}
    for name in ("whole", "without"):
        folder = tmp_path / name
        shutil.copytree(layout / "data" / "raw", folder / "data" / "raw")
        monkeypatch.chdir(folder)
        write_params({"root": str(ROOT)})
        whole = read_coco(file)
        seen = {
            c["id"] for c in whole["categories"] if c["name"] in ("disc", "rectangle", "triangle")
        }
        kept = [a for a in whole["annotations"] if a["category_id"] in seen]
        assert 0 < len(kept) < len(whole["annotations"])
        if name == "without":
            file.write_text(json.dumps({**whole, "annotations": kept}))
        scores = Path("data/mine/candidate_scores.json")  # an OLN would rate them, if asked
        scores.parent.mkdir(parents=True)
        scores.write_text("[]")
        for step in STAGES:
            stage(step)
        made[name] = results()
        report = json.loads(Path("reports/mine/pseudo_gt.json").read_text())
        assert ("precision" in report) == (name == "whole"), "it is measured on them, no more"
        assert report["pseudo_masks"] > 0
        assert report["seen_objects"] > 0
        assert Path("reports/mine/pseudo_gt.png").stat().st_size > 10_000
    assert made["whole"] == made["without"]
