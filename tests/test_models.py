"""Networks are found by folder, registry address or row; anything else is named for what it is."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import ggn
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError, save_weights
from ggn.tracking.backend import TrackingError

BACKBONE = {"name": "resnet10", "width": 4, "norm": "group", "weights": None}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with releases/shapes/affinity, releases/shapes/ggn and models/mine/baseline."""
    affinity = AffinityParams.model_validate(
        {"backbone": BACKBONE, "pool_channels": 4, "head_channels": 4, "head_norm": "group"}
    )
    detector = DetectorParams.model_validate(
        {
            "backbone": {**BACKBONE, "frozen_stages": 0},
            "fpn_channels": 4,
            "box": {"channels": 4},
            "mask": {"channels": 4},
        }
    )
    nets = {"affinity": AffinityNet(affinity), "detector": MaskRCNN(detector)}
    params = {"affinity": affinity, "detector": detector}
    for place, kind in (
        ("releases/shapes/affinity", "affinity"),
        ("releases/shapes/ggn", "detector"),
        ("models/mine/baseline", "detector"),
    ):
        card = {"kind": kind, "params": params[kind].model_dump()}
        save_weights(nets[kind], tmp_path / place, card)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_or_a_row_gives_the_network(checkout: Path) -> None:
    grey = np.full((40, 50, 3), 128, np.uint8)
    for address in ("releases/shapes/ggn", "shapes", "shapes/ggn", "mine/baseline"):
        assert ggn.load_detector(address).predict(grey).image_size_hw == (40, 50)
    for place in ("releases/shapes/affinity", "shapes", checkout / "releases/shapes/affinity"):
        assert ggn.load_affinity(place).predict(grey).shape == (40, 50)


def test_weights_of_another_kind_are_named(checkout: Path) -> None:
    with pytest.raises(WeightsError, match=r"affinity: holds an affinity network, not a detector"):
        ggn.load_detector("releases/shapes/affinity")
    with pytest.raises(WeightsError, match=r"ggn: holds a detector, not an affinity network"):
        ggn.load_affinity("releases/shapes/ggn")


def test_a_folder_above_the_weights_names_them(checkout: Path) -> None:
    both = "releases/shapes/affinity, releases/shapes/ggn"
    with pytest.raises(WeightsError, match=rf"has no .*these folders have them: {both}"):
        ggn.load_detector("releases/shapes")
    (checkout / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"empty: has no weights.safetensors and card.json$"):
        ggn.load_detector("empty")


def test_what_is_nowhere_is_refused_with_what_there_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"coco_voc: no such folder, .*there are mine/baseline"):
        ggn.load_detector("coco_voc")
    with pytest.raises(WeightsError, match=r"weights/x.pth: no such folder$"):
        ggn.load_detector("weights/x.pth")
    monkeypatch.chdir(checkout / "models")
    with pytest.raises(WeightsError, match=r"there are none; `dvc pull -R releases`"):
        ggn.load_detector("coco_voc")


def test_an_address_of_the_registry_asks_the_registry(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout}/none.db")
    with pytest.raises(TrackingError):
        ggn.load_detector("models:/shapes@ggn")


@pytest.mark.parametrize("kind", ["detector", "affinity"])
def test_networks_are_loaded_where_auto_says(
    monkeypatch: pytest.MonkeyPatch, checkout: Path, kind: str
) -> None:
    """By default, as in the commands: a GPU if there is one."""
    asked = list[str]()

    def chosen(name: str) -> str:
        asked.append(name)
        return "cpu"

    monkeypatch.setattr(f"ggn.{kind}.predict.chosen_device", chosen)
    for load in (
        getattr(ggn, f"load_{kind}"),
        getattr(import_module(f"ggn.{kind}"), f"load_{kind}"),
    ):
        load(checkout / "releases/shapes" / {"detector": "ggn", "affinity": "affinity"}[kind])
    assert asked == ["auto", "auto"]
