"""What tests of the command share: a photograph, and a folder of things to get wrong."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.masks import encode
from ggn.pseudo_gt.publish import import_interchange

PARAMS = """seed: 0
active: [mine]
inherited: [{split: olns, section: pseudo_gt, from: models/olns/baseline}]
defaults: {}
splits:
"""
ROW = """  NAME:
    data: {root: x}
    affinity: {}
    grouping: {}
    pseudo_gt: {rank: RANK}
    detector: {}
    evaluation: {}
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def muddle(
    photo: Path, tiny_coco: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, bytes]]:
    """The working directory holds good files and bad ones; returns what lies there, by path."""
    folder = photo.parent
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for kind in ("detector", "affinity"):
        shutil.copytree(weights / kind, kind)
        shutil.copytree(weights / kind, f"torn_{kind}")
        file = Path(f"torn_{kind}") / "weights.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
    for name in ("empty", "named", "twins", "data/raw/taken"):
        Path(name).mkdir(parents=True)
    Path("named/photo.json").write_text("[]")
    Path("data/raw/taken/train.json").write_text("{}")
    shutil.copytree(tiny_coco / "val2017", "val2017")
    annotations = "annotations/instances_train2017.json"
    for name in ("official", "torn_official", "faulty_official"):
        shutil.copytree(tiny_coco, name)
    Path("torn_official", annotations).write_text('{"images": [')
    faulty = json.loads((tiny_coco / annotations).read_text())
    faulty["annotations"][0]["bbox"] = [8, 8, 0, 4]
    Path("faulty_official", annotations).write_text(json.dumps(faulty))
    Image.open(photo).save("twins/a.png")
    shutil.copy(photo, "twins/a.jpg")
    Path("notes.txt").write_text("no image")
    Path("torn.jpg").write_bytes(photo.read_bytes()[:300])
    rows = {"mine": "extracted", "wise": "learned", "olns": "oln"}
    text = [ROW.replace("NAME", name).replace("RANK", rank) for name, rank in rows.items()]
    Path("params.yaml").write_text(PARAMS + "".join(text))
    truth = json.loads((tiny_coco / "annotations/instances_val2017.json").read_text())
    for name, content in {**_truths(truth), **_results()}.items():
        Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
    shutil.rmtree(tiny_coco)
    import_interchange(Path("results.json"), Path("store"))
    shutil.copytree("store", "torn_store")
    next(Path("torn_store").glob("shard-*")).write_bytes(b"PAR1")
    return lambda: {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def _truths(truth: dict[str, Any]) -> dict[str, Any]:
    """Files of annotations: a good one, and others with one fault each."""
    image, record = truth["images"][0], truth["annotations"][0]
    objects = truth["annotations"]
    return {
        "val.json": truth,
        "torn.json": json.dumps(truth)[:-20],
        "list.json": [],
        "twice.json": {**truth, "images": [*truth["images"], image]},
        "resized.json": {**truth, "images": [{**it, "height": 50} for it in truth["images"]]},
        "nothing.json": {**truth, "annotations": []},
        "one.json": {
            **truth,
            "images": [image],
            "annotations": [it for it in objects if it["image_id"] == image["id"]],
        },
        "stranger.json": {**truth, "annotations": [*objects, {**record, "id": 1, "image_id": 5}]},
        "no_category.json": {**truth, "categories": []},
        "nan_truth.json": {**truth, "annotations": [{**record, "bbox": [float("nan"), 1, 2, 3]}]},
        "odd.json": {**truth, "annotations": [{**record, "bbox": [8, 8, 40, 30]}, *objects[1:]]},
    }


def _results() -> dict[str, Any]:
    """Results files: good ones of masks and of boxes, and others with one fault each."""
    bitmap = np.zeros((1, 48, 64), bool)
    bitmap[:, 8:24, 8:32] = True
    (run_lengths,) = encode(bitmap)
    mask = {"image_id": 100, "category_id": 1, "score": 0.5, "segmentation": run_lengths}
    box = {"image_id": 100, "category_id": 1, "score": 0.5, "bbox": [8, 8, 24, 16]}
    small = {"size": [10, 10], "counts": [0, 100]}
    return {
        "results.json": [mask],
        "second.json": [{**mask, "score": 0.25}],
        "boxes.json": [box],
        "foreign.json": [{**mask, "image_id": 5}],
        "small.json": [{**mask, "segmentation": small}],
        "nan.json": [{**mask, "score": float("nan")}],
        "no_score.json": [{key: value for key, value in mask.items() if key != "score"}],
    }
