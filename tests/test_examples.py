"""The examples run as they are, on images that scikit-image ships, and find what they say."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ggn
from ggn.core.coco import read_coco
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    return tmp_path


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def test_predict_draws_each_photograph(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backbone = {"name": "resnet10", "width": 4, "norm": "group", "weights": None}
    params = DetectorParams.model_validate(
        {
            "backbone": {**backbone, "frozen_stages": 0},
            "fpn_channels": 4,
            "box": {"channels": 4},
            "mask": {"channels": 4},
            "max_size": [128, 96],
            "detection": {"max_detections": 5},
        }
    )
    torch.manual_seed(0)
    save_weights(
        MaskRCNN(params), here / "net", {"kind": "detector", "params": params.model_dump()}
    )
    load("predict").main("net")
    assert sorted(path.name for path in (here / "predictions").iterdir()) == [
        "chelsea.png", "coffee.png",
    ]  # fmt: skip
    assert "coffee.png: Instances(" in capsys.readouterr().out


def test_the_gradient_finds_the_coins(here: Path) -> None:
    module = load("group_affinity")
    module.main()
    assert (here / "groups" / "coins.png").exists()
    grey = module.coins()
    params = ggn.GroupingParams(score="outline_affinity", min_area=500, border_fraction=0.2)
    segments = ggn.group(module.gradient_affinity(grey), params)
    coin = (np.hypot(*(np.indices(grey.shape) - np.array([51, 155])[:, None, None])) < 22).sum()
    x, y = 155, 51  # the centre of the third coin
    areas = [i.area for i in segments if i.bitmap()[y, x]]
    assert min(abs(area / coin - 1) for area in areas) < 0.25


def test_pseudo_masks_make_a_file_to_train_from(here: Path) -> None:
    load("pseudo_masks").main()
    dataset = read_coco(here / "pseudo_masks" / "coins.json")
    sources = [record["source"] for record in dataset["annotations"]]
    assert sources == ["annotation", *["pseudo"] * 15]
    areas = np.array([record["area"] for record in dataset["annotations"][1:]])
    assert ((areas > 600) & (areas < 3500)).mean() > 0.7, "most are of the size of a coin"


def test_the_protocols_differ(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("evaluate_results").main()
    lines = capsys.readouterr().out.splitlines()
    at_10 = {line.split(":")[0].strip(): re.findall(r"0\.\d+", line)[0] for line in lines}
    assert list(at_10) == ["budget", "plain", "per_class"]
    assert float(at_10["budget"]) > float(at_10["plain"])


def test_the_notebook_runs_from_top_to_bottom(here: Path) -> None:
    notebook = json.loads((EXAMPLES / "first_steps.ipynb").read_text("utf-8"))
    code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for source in code:
        exec(compile(source, "first_steps.ipynb", "exec"), names)
    assert len(names["best"]) == 10
