"""The reference's models as a caller makes them, and what they predict."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ggn.core import Instances
from ggn.detector.params import DetectionParams, DetectorParams
from ggn.openmmlab import build_model, load_checkpoint
from ggn.openmmlab.models import MODEL_KINDS, ReferenceAffinity, ReferenceDetector

TOP = 50
"""Detections of which the reference's masks are recorded."""


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_what_stands_frozen_starts_from_pretrained_weights(kind: str) -> None:
    """From random weights everything must learn, the stem too; nothing keeps random statistics."""
    with torch.device("meta"):
        model = build_model(kind)
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    if kind in ("pa", "maskrcnn_gn"):
        assert frozen == set()
    else:
        assert {name.split(".")[1] for name in frozen} == {"conv1", "bn1", "layer1"}
        assert model.params.backbone.weights == "imagenet"  # type: ignore[union-attr]
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)]
    assert {type(norm).__name__ for norm in norms} == {
        "pa": {"BatchNorm2d"},
        "maskrcnn_gn": {"GroupNorm"},
    }.get(kind, {"FixedStatisticsBatchNorm"})


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of pa, maskrcnn, .*, got 'yolo'"):
        build_model("yolo")


Recorded = tuple[NDArray[np.uint8], Mapping[str, NDArray[Any]]]


@pytest.fixture
def recorded(recorded_file: Callable[[str], Path]) -> Callable[[str], Recorded]:
    """The synthetic image uint8 (H, W, 3), and what the reference made of it."""
    pixels = np.load(recorded_file("B_synth_image.npz"))["rgb_u8"]
    return lambda kind: (pixels, np.load(recorded_file(f"B_synth_{kind}.npz")))


def same_as_recorded(
    model: nn.Module,
    kind: str,
    recorded: Callable[[str], Recorded],
    masks_agree: Callable[..., bool],
) -> None:
    """At native size; of detections the best 50, of which near-equal ones may swap places."""
    pixels, expected = recorded(kind)
    if isinstance(model, ReferenceAffinity):
        affinity = model.predict(pixels, resize=False)
        assert affinity.dtype == np.float32
        np.testing.assert_allclose(affinity, expected["pa_native"], atol=2e-5)
        return
    assert isinstance(model, ReferenceDetector)
    model.params = model.params.model_copy(
        update={"detection": DetectionParams(max_detections=TOP)}
    )
    found = model.predict(pixels, resize=False)
    assert isinstance(found, Instances)
    assert found.image_size_hw == pixels.shape[:2]
    np.testing.assert_allclose(found.scores, expected["det_net"][:TOP, 4], atol=1e-5)
    if kind == "oln_box":  # an object's mask is its whole box
        np.testing.assert_allclose(found.boxes_xyxy, expected["det_net"][:TOP, :4], atol=1)
        return
    ours, theirs = [mask["counts"] for mask in found.masks], expected["rle_net"].tolist()
    assert masks_agree(ours, theirs, found.image_size_hw)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_predictions_equal_the_reference(
    recorded: Callable[[str], Recorded],
    recorded_weights: Callable[[str], dict[str, Tensor]],
    masks_agree: Callable[..., bool],
    kind: str,
) -> None:
    model = build_model(kind)
    load_checkpoint(model, recorded_weights(kind))
    same_as_recorded(model, kind, recorded, masks_agree)


def test_an_image_that_fits_already_is_not_resized() -> None:
    torch.manual_seed(0)
    model = ReferenceDetector(
        DetectorParams.model_validate(
            {
                "max_size": [64, 64],
                "fpn_channels": 8,
                "backbone": {
                    "name": "resnet10",
                    "width": 8,
                    "norm": "group",
                    "weights": None,
                    "frozen_stages": 0,
                },
                "box": {"channels": 8},
                "mask": {"convolutions": 0, "channels": 8},
                "detection": {"max_detections": 5},
            }
        )
    )
    large, small = (
        np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
        for size_hw in ((96, 128), (40, 64))
    )
    equal = [
        np.array_equal(model.predict(image).scores, model.predict(image, resize=False).scores)
        for image in (small, large)
    ]
    assert equal == [True, False]
