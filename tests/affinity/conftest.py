"""What several affinity tests start from."""

import json
from pathlib import Path
from typing import Any

import pytest

from ggn.affinity.params import AffinityParams

TINY: dict[str, Any] = {
    "backbone": {"name": "resnet10", "width": 8, "weights": None},
    "pool_channels": 8,
    "head_channels": 16,
    "batch_size": 2,
    "lr_batch_size": None,
    "warmup_steps": 2,
    "lr": 0.5,
    "milestones": [],
    "precision": "32-true",
}


@pytest.fixture
def tiny_params() -> AffinityParams:
    return AffinityParams.model_validate(TINY)


@pytest.fixture
def tiny_dataset(tiny_coco: Path) -> dict[str, Any]:
    text = (tiny_coco / "annotations" / "instances_train2017.json").read_text()
    dataset: dict[str, Any] = json.loads(text)
    return dataset
