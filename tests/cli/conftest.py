"""What tests of the command share: the command itself, small networks, a photograph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ggn import cli
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights

TINY = {"name": "resnet10", "width": 8, "norm": "group", "weights": None, "frozen_stages": 0}


@pytest.fixture
def ggn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `ggn words…` in this process and return its exit status."""

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["ggn", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `detector` and `affinity` with small networks of random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    detector = DetectorParams.model_validate(
        {
            "backbone": TINY,
            "fpn_channels": 16,
            "max_size": [64, 64],
            "rpn": {"candidates_per_level": 50, "proposals": 50},
            "box": {"channels": 16},
            "mask": {"convolutions": 0, "channels": 8},
            "detection": {"max_detections": 7},
        }
    )
    save_weights(
        MaskRCNN(detector),
        folder / "detector",
        {"kind": "detector", "params": detector.model_dump(), "seed": 0},
    )
    affinity = AffinityParams.model_validate(
        {"backbone": TINY, "pool_channels": 8, "head_channels": 8, "head_norm": "group"}
    )
    save_weights(
        AffinityNet(affinity),
        folder / "affinity",
        {"kind": "affinity", "params": affinity.model_dump(), "seed": 0},
    )
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
    return path
