"""The defaults are the reference's recipe; faulty settings are refused by name."""

from typing import Any

import pytest
from pydantic import ValidationError

from ggn.detector.params import DetectorParams


def test_the_defaults_are_the_reference_recipe() -> None:
    params = DetectorParams()
    assert (params.epochs, params.milestones, params.gamma) == (8, [6, 7], 0.1)
    assert (params.lr, params.batch_size, params.momentum, params.weight_decay) == (
        0.02,
        16,
        0.9,
        1e-4,
    )
    assert params.lr_batch_size == 16  # a smaller batch learns at a smaller rate
    assert (params.max_size, params.flip, params.scale_range) == ([1333, 800], True, [1, 1])
    backbone = params.backbone
    assert (backbone.name, backbone.norm, backbone.frozen_stages) == ("resnet50", "frozen_batch", 1)
    assert backbone.weights == "imagenet"
    rpn = params.rpn
    assert (rpn.anchor_scale, rpn.nms_iou, rpn.proposals, rpn.samples) == (8, 0.7, 2000, 256)
    assert (rpn.positive_iou, rpn.negative_iou, rpn.low_quality_iou) == (0.7, 0.3, 0.3)
    assert rpn.positive_fraction == 0.5
    box = params.box
    assert (box.samples, box.positive_fraction, box.positive_iou) == (512, 0.25, 0.5)
    assert (box.delta_stds, box.pool_size) == ([0.1, 0.1, 0.2, 0.2], 7)
    assert (params.mask.pool_size, params.roi_sampling_ratio) == (14, 0)
    assert params.heads == "mask_rcnn"
    oln = params.oln
    assert (oln.centerness_positive_iou, oln.centerness_negative_iou, oln.box_weight) == (
        0.3,
        0.1,
        10,
    )
    assert (params.detection.nms_iou, params.detection.max_detections) == (0.7, 1500)


def test_a_card_holds_them_as_json() -> None:
    for given in ({"lr": 0.5, "mask": {"convolutions": 2}}, {"heads": "oln", "mask": None}):
        params = DetectorParams.model_validate(given)
        assert DetectorParams.model_validate(params.model_dump(mode="json")) == params


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"learning_rate": 0.1}, "learning_rate", "Extra inputs"),
    ({"lr": "1e-3"}, "lr", "valid number"),
    ({"max_size": [800, 1333]}, "max_size", "longest side, shortest side"),
    ({"max_size": [800]}, "max_size", "at least 2 items"),
    ({"scale_range": [1.5, 1.0]}, "scale_range", "smallest, largest"),
    ({"roi_sampling_ratio": -1}, "roi_sampling_ratio", "greater than or equal to 0"),
    ({"backbone": {"weights": None}}, "backbone", "frozen_stages must be 0"),
    ({"backbone": {"weights": None, "frozen_stages": 0}}, "backbone", "use group"),
    ({"backbone": {"name": "vgg16"}}, "backbone.name", "resnet50"),
    ({"rpn": {"negative_iou": 0.8}}, "rpn", "must not exceed positive_iou"),
    ({"rpn": {"samples": 0}}, "rpn.samples", "greater than or equal to 1"),
    ({"box": {"delta_stds": [0.1, 0.1, 0.2, 0.0]}}, "box.delta_stds", "must be positive"),
    ({"box": {"positive_fraction": 0.0}}, "box.positive_fraction", "greater than 0"),
    ({"heads": "retinanet"}, "heads", "'mask_rcnn' or 'oln'"),
    ({"oln": {"centerness_negative_iou": 0.5}}, "oln", "must not exceed centerness_positive_iou"),
    ({"oln": {"box_weight": 0.0}}, "oln.box_weight", "greater than 0"),
    ({"mask": {"norm": "batch"}}, "mask.norm", "'none' or 'group'"),
    ({"detection": {"mask_threshold": 1.0}}, "detection.mask_threshold", "less than 1"),
]


@pytest.mark.parametrize(("given", "key", "reason"), REFUSED)
def test_faulty_settings_are_refused_by_name(given: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        DetectorParams.model_validate(given)
    (fault,) = refusal.value.errors()
    assert ".".join(str(part) for part in fault["loc"]) == key
    assert reason in fault["msg"]


def test_the_params_need_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, ggn.detector.params; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
