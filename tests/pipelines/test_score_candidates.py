"""Candidates ranked by an OLN: the stage that rates them, and the selection that follows it."""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from ggn.core import Instances
from ggn.core.coco import annotations_by_image, read_coco
from ggn.core.masks import from_segmentation
from ggn.data.images import read_image
from ggn.detector import DetectorParams, MaskRCNN, load_detector
from ggn.engine.weights import save_weights
from ggn.pseudo_gt.rank import read_scores
from ggn.store.parquet import ImageInstances
from ggn.store.shards import ShardWriter, shard_path
from pipelines import inherit, prepare, score_candidates, select_pseudo_gt
from pipelines.stage.params import ParamsError

SPLIT = Path("data/mine")
LINK = {"split": "mine", "section": "pseudo_gt", "from": "models/mine/baseline"}
TINY = {
    "heads": "oln",
    "mask": None,
    "max_size": [64, 64],
    "precision": "32-true",
    "fpn_channels": 16,
    "backbone": {
        "name": "resnet10",
        "width": 8,
        "norm": "group",
        "weights": None,
        "frozen_stages": 0,
    },
    "box": {"pool_size": 3, "channels": 16},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the split `mine` has candidates and a baseline, an OLN of random weights."""
    find_spec = importlib.util.find_spec
    without = lambda name, *a: None if name == "mlflow" else find_spec(name, *a)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.chdir(tmp_path)
    write_params("oln")
    prepare.main("mine")
    dataset = read_coco(SPLIT / "training/baseline.json")
    hidden = annotations_by_image(read_coco(SPLIT / "prepared/hidden.json"))
    ids = [image["id"] for image in dataset["images"]]
    writer = ShardWriter(Path("log"), shard_path(SPLIT / "candidates", 0, 1), ids, ["area"])
    for image in dataset["images"]:
        size = image["height"], image["width"]
        masks = [from_segmentation(a["segmentation"], size) for a in hidden[image["id"]]]
        scores = np.linspace(0.9, 0.1, len(masks), dtype=np.float32)
        found = Instances(masks, scores, size)
        writer.append(ImageInstances(image["id"], found, found.areas[:, None].astype(np.float32)))
    writer.finish()
    torch.manual_seed(0)
    network = MaskRCNN(DetectorParams.model_validate(TINY))
    torch.nn.init.normal_(network.rpn.objectness.weight, std=3.0)
    card = {"kind": "detector", "params": network.params.model_dump()}
    save_weights(network, Path("models/mine/baseline"), card)
    inherit.main("mine", "pseudo_gt", "models/mine/baseline")
    return tmp_path


def write_params(rank: str) -> None:
    data = {"source": "shapes", "seen": ["disc"], "shapes": {"train_images": 3, "val_images": 1}}
    sections: dict[str, Any] = {
        "data": data,
        "affinity": {"backbone": {"weights": None}},
        "grouping": {},
        "pseudo_gt": {"rank": rank, "top_k": 1},
        "detector": TINY,
        "evaluation": {},
    }
    document = {"seed": 0, "active": ["mine"], "defaults": {}, "splits": {"mine": sections}}
    document["inherited"] = [LINK] if rank == "oln" else []
    YAML().dump(document, Path("params.yaml"))


def chosen(image_id: int) -> list[float]:
    """Scores of the pseudo masks that were selected on an image."""
    merged = json.loads((SPLIT / "training/ggn.json").read_text())
    records = [a for a in merged["annotations"] if a["source"] == "pseudo"]
    return [a["score"] for a in records if a["image_id"] == image_id]


def test_oln_scores_are_written_and_decide_which_candidates_are_kept(project: Path) -> None:
    score_candidates.main("mine")
    scores = read_scores(SPLIT / "candidate_scores.json")
    images = read_coco(SPLIT / "training/baseline.json")["images"]
    assert scores.keys() == {image["id"] for image in images}
    detector = load_detector("models/mine/baseline")
    hidden = annotations_by_image(read_coco(SPLIT / "prepared/hidden.json"))
    image = images[0]
    x, y, w, h = np.array([a["bbox"] for a in hidden[image["id"]]], dtype=np.float32).T
    pixels = read_image(SPLIT / "prepared/train" / image["file_name"])
    s, c = detector.rate_boxes(pixels, np.stack([x, y, x + w, y + h], axis=1))
    affinity = np.linspace(0.9, 0.1, len(s), dtype=np.float32)
    np.testing.assert_allclose(scores[image["id"]], affinity / 2 + s + s * c, rtol=1e-5)
    select_pseudo_gt.main("mine")
    for image_id, values in scores.items():
        assert chosen(image_id) == pytest.approx([values.max()])


def test_other_rankings_ask_no_detector(project: Path) -> None:
    write_params("extracted")
    shutil.rmtree(project / "data/mine/inherited/pseudo_gt/models")
    score_candidates.main("mine")
    assert read_scores(SPLIT / "candidate_scores.json") == {}
    select_pseudo_gt.main("mine")
    images = read_coco(SPLIT / "training/baseline.json")["images"]
    assert [chosen(image["id"]) for image in images] == [[pytest.approx(0.9)]] * 3


def test_a_baseline_that_params_do_not_bring_is_named_with_the_line_that_brings_it(
    project: Path,
) -> None:
    document = YAML(typ="safe").load(Path("params.yaml"))
    YAML().dump({**document, "inherited": []}, project / "params.yaml")
    line = "{split: mine, section: pseudo_gt, from: models/mine/baseline}"
    needed = f"splits.mine.pseudo_gt.rank: oln needs the line {line} in `inherited`"
    with pytest.raises(ParamsError, match=re.escape(needed)):
        score_candidates.main("mine")


def test_a_baseline_that_is_no_oln_is_refused(project: Path) -> None:
    network = MaskRCNN(DetectorParams.model_validate({**TINY, "heads": "mask_rcnn"}))
    card = {"kind": "detector", "params": network.params.model_dump()}
    save_weights(network, project / "models/mine/baseline", card)
    inherit.main("mine", "pseudo_gt", "models/mine/baseline")
    with pytest.raises(ValueError, match="only heads 'oln' can rate boxes, got 'mask_rcnn'"):
        score_candidates.main("mine")
