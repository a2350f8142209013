"""What tests of the zoo share: a checkout with one tiny row, whose results are committed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights

TINY = {"name": "resnet10", "width": 8, "norm": "group", "weights": None, "frozen_stages": 0}
DETECTOR = {
    "backbone": TINY,
    "fpn_channels": 16,
    "max_size": [64, 64],
    "rpn": {"candidates_per_level": 50, "proposals": 50},
    "box": {"channels": 16},
    "mask": {"convolutions": 0, "channels": 8},
    "detection": {"max_detections": 7},
}
AFFINITY = {"backbone": TINY, "pool_channels": 8, "head_channels": 8, "head_norm": "group"}
IMAGE = {"id": 1, "file_name": "1.png", "height": 8, "width": 8}
CATEGORY = {"id": 1, "name": "pseudo"}
NUMBERS = {"protocol": "budget", "baseline": {}, "ggn": {}}

# A pipeline whose one stage copies results that lie ready.
PIPELINE = """
stages:
  compare:
    matrix: {split: "${active}"}
    cmd: >-
      mkdir -p models data/${item.split} &&
      cp -r ready/models models/${item.split} &&
      cp -r ready/pseudo_gt data/${item.split}
    deps: [ready]
    outs: ["models/${item.split}", "data/${item.split}/pseudo_gt"]
"""


class Repository:
    """A checkout on disk, and the commands a person types in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "test"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@localhost"),
        }
        return subprocess.run(
            words, cwd=self.root, env=environment, capture_output=True, text=True, check=check
        )

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "results")

    def clone(self, folder: Path) -> Repository:
        self.run("git", "clone", "--quiet", str(self.root), str(folder))
        return Repository(folder)


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the row `tiny`, made once."""
    pytest.importorskip("dvc", reason="needs ggn[mlops]")
    repository = Repository(tmp_path_factory.mktemp("committed"))
    torch.manual_seed(0)
    models = repository.root / "ready" / "models"
    detector, affinity = DetectorParams.model_validate(DETECTOR), AffinityParams(**AFFINITY)
    for recipe in ("baseline", "ggn"):
        card = {"kind": "detector", "params": detector.model_dump(), "seed": 0}
        save_weights(MaskRCNN(detector), models / recipe, card)
    card = {"kind": "affinity", "params": affinity.model_dump(), "seed": 0}
    save_weights(AffinityNet(affinity), models / "affinity", card)
    numbers = {**NUMBERS, **{r: {"unseen/mask_AR_100": 0.25} for r in ("baseline", "ggn")}}
    texts = {
        "ready/pseudo_gt/pseudo_gt.json": json.dumps(
            {"images": [IMAGE], "annotations": [], "categories": [CATEGORY]}
        ),
        "reports/tiny/comparison.json": json.dumps(numbers),
        "dvc.yaml": PIPELINE,
        "params.yaml": "active: [tiny]\n",
        ".gitignore": "/models/\n/data/\n/.scratch/\n",
    }
    for name, text in texts.items():
        path = repository.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    repository.run("git", "init", "--quiet")
    repository.run("dvc", "init", "--quiet")
    shutil.copy(Path(__file__).parents[2] / ".dvc" / "config", repository.root / ".dvc")
    repository.run("dvc", "repro", "--quiet")
    repository.commit()
    return repository.root


@pytest.fixture
def checkout(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A copy of that checkout, in which this process is."""
    repository = Repository(tmp_path / "checkout")
    shutil.copytree(committed, repository.root, symlinks=True)
    monkeypatch.chdir(repository.root)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    return repository
