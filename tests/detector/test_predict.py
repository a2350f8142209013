"""A trained detector finds instances at the size of the image, and repeats bit for bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ggn.core.masks import mask_iou
from ggn.detector import load_detector
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError, save_weights


def write(folder: Path, params: DetectorParams, background: float = 0.0) -> Path:
    """Random weights; `background` raises the background logit of every region."""
    torch.manual_seed(0)
    network = MaskRCNN(params)
    with torch.no_grad():
        network.box_head.logits.bias += torch.tensor([0, background])
    save_weights(network, folder, {"kind": "detector", "params": params.model_dump()})
    return folder


def write_oln(folder: Path, params: DetectorParams, **changes: Any) -> Path:
    """Random weights of an OLN whose proposals are large, small and inverted."""
    params = DetectorParams.model_validate({**params.model_dump(), "heads": "oln", **changes})
    torch.manual_seed(0)
    network = MaskRCNN(params)
    torch.nn.init.normal_(network.rpn.deltas.weight, std=2.0)
    save_weights(network, folder, {"kind": "detector", "params": params.model_dump()})
    return folder


def noise(*size_hw: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 90), (33, 2), (64, 64), (48, 200), (300, 40), (500, 700)]
)
def test_masks_have_the_size_of_the_image(
    tmp_path: Path, tiny_params: DetectorParams, size_hw: tuple[int, int]
) -> None:
    found = load_detector(write(tmp_path, tiny_params)).predict(noise(*size_hw))
    assert found.image_size_hw == size_hw
    assert len(found) <= 20
    assert (found.areas > 0).all()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.scores > 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 90), (64, 64), (300, 40)])
def test_an_oln_is_loaded_and_asked_like_any_detector(
    tmp_path: Path, tiny_params: DetectorParams, size_hw: tuple[int, int]
) -> None:
    found = load_detector(write_oln(tmp_path, tiny_params)).predict(noise(*size_hw))
    assert json.loads((tmp_path / "card.json").read_text())["params"]["heads"] == "oln"
    assert found.image_size_hw == size_hw
    assert len(found) <= 20
    assert (found.areas > 0).all()
    assert (np.diff(found.scores) <= 0).all()


def test_without_mask_head_the_masks_are_boxes(tmp_path: Path, tiny_params: DetectorParams) -> None:
    found = load_detector(write_oln(tmp_path, tiny_params, mask=None)).predict(noise(40, 60))
    assert len(found) > 5
    x1, y1, x2, y2 = found.boxes_xyxy.T
    assert np.array_equal(found.areas, (x2 - x1) * (y2 - y1))


def test_boxes_are_rated_at_the_scale_of_training(
    tmp_path: Path, tiny_params: DetectorParams
) -> None:
    detector = load_detector(write_oln(tmp_path, tiny_params), precision="32-true")
    seen: list[tuple[int, ...]] = []
    network = detector._network
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    boxes = np.array([[0, 0, 160, 320], [30, 40, 90, 100], [5, 5, 6, 6]], np.float32)
    iou, centerness = detector.rate_boxes(noise(320, 160), boxes)
    assert seen == [(1, 3, 64, 32)]
    for ratings in (iou, centerness):
        assert ratings.shape == (3,)
        assert ((ratings > 0) & (ratings < 1)).all()
    assert [len(r) for r in detector.rate_boxes(noise(40, 40), boxes[:0])] == [0, 0]
    with pytest.raises(ValueError, match=r"boxes_xyxy must be \(N, 4\), got \(4,\)"):
        detector.rate_boxes(noise(40, 40), boxes[0])


def test_an_image_may_be_empty(tmp_path: Path, tiny_params: DetectorParams) -> None:
    found = load_detector(write(tmp_path, tiny_params, background=500)).predict(noise(40, 60))
    assert len(found) == 0
    assert found.image_size_hw == (40, 60)


def test_larger_images_are_scaled_down_as_in_training(
    tmp_path: Path, tiny_params: DetectorParams
) -> None:
    seen: list[tuple[int, ...]] = []
    detector = load_detector(write(tmp_path, tiny_params), precision="32-true")
    network = detector._network
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    for size in ((40, 80), (160, 320), (64, 64)):
        detector.predict(noise(*size))
    assert seen == [(1, 3, 32, 64), (1, 3, 32, 64), (1, 3, 64, 64)]


def test_prediction_repeats_bit_for_bit(tmp_path: Path, tiny_params: DetectorParams) -> None:
    image = noise(50, 40)
    detector = load_detector(write(tmp_path, tiny_params))
    first = detector.predict(image)
    for other in (
        detector.predict(image),
        detector.predict(np.asfortranarray(image)),
        load_detector(tmp_path).predict(image),
    ):
        assert other.masks == first.masks
        assert np.array_equal(other.scores, first.scores)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((3, 40, 40), np.uint8), r"uint8 \(3, 40, 40\)"),
        (np.zeros((40, 40), np.uint8), r"uint8 \(40, 40\)"),
        (np.zeros((40, 40, 3), np.float32), r"float32 \(40, 40, 3\)"),
        (np.zeros((0, 40, 3), np.uint8), r"uint8 \(0, 40, 3\)"),
    ],
)
def test_refuses_what_is_no_rgb_image(
    tmp_path: Path, tiny_params: DetectorParams, image: Any, got: str
) -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(H, W, 3\), got " + got):
        load_detector(write(tmp_path, tiny_params)).predict(image)


def test_refuses_weights_that_are_no_detector(tmp_path: Path, tiny_params: DetectorParams) -> None:
    other = torch.nn.Linear(1, 1)
    save_weights(other, tmp_path, {"kind": "affinity"})
    with pytest.raises(WeightsError, match="holds an affinity network, not a detector"):
        load_detector(tmp_path)
    save_weights(other, tmp_path, {"kind": "detector"})
    with pytest.raises(WeightsError, match="card and weights do not describe a detector"):
        load_detector(tmp_path)
    write_oln(tmp_path, tiny_params)
    params = {"kind": "detector", "params": tiny_params.model_dump()}
    save_weights(load_detector(tmp_path)._network, tmp_path, params)
    with pytest.raises(WeightsError, match=r"box_head\.logits\.weight(.|\n)*torch\.Size\(\[1, 16"):
        load_detector(tmp_path)
    save_weights(other, tmp_path, {"kind": "detector", "params": tiny_params.model_dump()})
    with pytest.raises(WeightsError, match=r"do not describe a detector(.|\n)*rpn\.conv\.weight"):
        load_detector(tmp_path)


def test_a_batch_finds_what_each_image_shows(tmp_path: Path, tiny_params: DetectorParams) -> None:
    """Two images of one size share a forward pass, one is by itself; the order is kept."""
    detector = load_detector(write(tmp_path, tiny_params))
    images = [noise(64, 64), noise(48, 90), 255 - noise(64, 64)]
    together = detector.predict_batch(images)
    for image, found in zip(images, together, strict=True):
        alone = detector.predict(image)
        assert found.image_size_hw == alone.image_size_hw
        np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-4)
        assert (np.diag(mask_iou(found.masks, alone.masks)) > 0.99).all()
