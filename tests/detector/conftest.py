"""A detector small enough to be trained in a second, and data for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from ggn.detector.params import DetectorParams


@pytest.fixture
def tiny_params() -> DetectorParams:
    return DetectorParams.model_validate(
        {
            "epochs": 1,
            "batch_size": 2,
            "lr_batch_size": None,
            "warmup_steps": 0,
            "milestones": [],
            "precision": "32-true",
            "max_size": [64, 64],
            "fpn_channels": 16,
            "roi_sampling_ratio": 1,
            "roi_level_scale": 28,
            "backbone": {
                "name": "resnet10",
                "width": 8,
                "norm": "group",
                "weights": None,
                "frozen_stages": 0,
            },
            "rpn": {"anchor_scale": 3, "samples": 32, "proposals": 50},
            "box": {"pool_size": 3, "channels": 16, "samples": 16},
            "mask": {"pool_size": 5, "convolutions": 1, "channels": 8, "norm": "group"},
            "detection": {"max_detections": 20},
        }
    )


@pytest.fixture
def tiny_dataset(tiny_coco: Path) -> dict[str, Any]:
    """The training part of `tiny_coco`: images 7 to 10, the last without annotation."""
    dataset: dict[str, Any] = json.loads(
        (tiny_coco / "annotations" / "instances_train2017.json").read_text()
    )
    return dataset
