"""A prediction is the sigmoid of the network's logits, and repeats bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ggn.affinity import load_affinity
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.predict import AffinityPredictor
from ggn.engine.weights import WeightsError, save_weights


@pytest.fixture
def folder(tmp_path: Path, tiny_params: AffinityParams) -> Path:
    torch.manual_seed(0)
    net = AffinityNet(tiny_params)
    save_weights(net, tmp_path, {"kind": "affinity", "params": tiny_params.model_dump()})
    return tmp_path


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 7), (5, 1), (31, 33), (64, 64), (100, 37), (65, 200)]
)
def test_a_map_has_exactly_the_size_of_its_image(folder: Path, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    affinity = load_affinity(folder).predict(image)
    assert affinity.shape == size_hw
    assert affinity.dtype == np.float32
    assert affinity.min() >= 0
    assert affinity.max() <= 1


def test_prediction_repeats_bit_for_bit(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    predictor = load_affinity(folder)
    first = predictor.predict(image)
    assert np.array_equal(first, predictor.predict(image))
    assert np.array_equal(first, load_affinity(folder).predict(image))
    assert np.array_equal(first, predictor.predict(np.asfortranarray(image)))


def test_it_is_the_sigmoid_of_the_network(folder: Path, tiny_params: AffinityParams) -> None:
    from ggn.engine.backbone import normalise

    torch.manual_seed(0)
    net = AffinityNet(tiny_params).eval()
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    with torch.inference_mode():
        logits = net(normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))
    predicted = load_affinity(folder, precision="32-true").predict(image)
    np.testing.assert_allclose(predicted, logits[0, 0].sigmoid(), atol=1e-6)


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 1), (50, 40), (65, 97)])
def test_it_is_the_sigmoid_of_the_mean_over_scales_and_mirror_images(
    tmp_path: Path, tiny_params: AffinityParams, size_hw: tuple[int, int]
) -> None:
    from ggn.engine.backbone import normalise

    torch.manual_seed(0)
    looks = {"prediction_scales": [1.0, 1.5], "prediction_mirrored": True}
    params = AffinityParams.model_validate({**tiny_params.model_dump(), **looks})
    net = AffinityNet(params).eval()
    save_weights(net, tmp_path, {"kind": "affinity", "params": params.model_dump()})
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    pixels = normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    with torch.inference_mode():
        seen = [net(pixels, s) for s in (1.0, 1.5)]
        seen += [net(pixels.flip(-1), s).flip(-1) for s in (1.0, 1.5)]
        expected = torch.stack(seen).mean(dim=0)[0, 0].sigmoid().numpy()
    predicted = load_affinity(tmp_path).predict(image)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert load_affinity(tmp_path).predict(image).tobytes() == predicted.tobytes()


def test_a_mirrored_prediction_of_a_mirrored_image_is_mirrored(tiny_params: AffinityParams) -> None:
    torch.manual_seed(0)
    predictor = AffinityPredictor(AffinityNet(tiny_params), mirrored=True)
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    mirrored = predictor.predict(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_allclose(mirrored[:, ::-1], predictor.predict(image), atol=1e-5)


def test_half_precision_is_close_and_as_fine(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    full, half = (
        load_affinity(folder, precision=name).predict(image) for name in ("32-true", "bf16-mixed")
    )
    assert np.abs(full - half).max() < 0.05
    assert len(np.unique(half)) > 0.9 * half.size


def test_predicting_leaves_the_network_in_evaluation(tiny_params: AffinityParams) -> None:
    net = AffinityNet(tiny_params).train()
    before = net.backbone.bn1.running_mean.clone()  # type: ignore[operator, union-attr]
    AffinityPredictor(net).predict(np.zeros((40, 40, 3), np.uint8))
    assert not net.training
    assert torch.equal(net.backbone.bn1.running_mean, before)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((3, 40, 40), np.uint8), r"uint8 \(3, 40, 40\)"),
        (np.zeros((40, 40), np.uint8), r"uint8 \(40, 40\)"),
        (np.zeros((40, 40, 4), np.uint8), r"uint8 \(40, 40, 4\)"),
        (np.zeros((40, 40, 3), np.float32), r"float32 \(40, 40, 3\)"),
        (np.zeros((0, 40, 3), np.uint8), r"uint8 \(0, 40, 3\)"),
    ],
)
def test_refuses_what_is_no_rgb_image(folder: Path, image: np.ndarray, got: str) -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(H, W, 3\), got " + got):
        load_affinity(folder).predict(image)


def test_refuses_other_weights(tmp_path: Path) -> None:
    save_weights(torch.nn.Linear(1, 1), tmp_path, {"kind": "detector"})
    with pytest.raises(WeightsError, match="holds a detector, not an affinity network"):
        load_affinity(tmp_path)


def test_without_more_the_image_is_seen_once_at_its_own_scale(tiny_params: AffinityParams) -> None:
    from ggn.engine.backbone import normalise

    torch.manual_seed(0)
    net = AffinityNet(tiny_params).eval()
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    with torch.inference_mode():
        logits = net(normalise(torch.from_numpy(image).permute(2, 0, 1)[None]))[0, 0]
    predicted = AffinityPredictor(net, precision="32-true").predict(image)
    np.testing.assert_allclose(predicted, logits.sigmoid(), atol=1e-6)


def test_refuses_weights_of_another_shape_and_a_card_without_params(
    tmp_path: Path, tiny_params: AffinityParams
) -> None:
    wider = tiny_params.model_dump() | {
        "backbone": {**tiny_params.backbone.model_dump(), "width": 16}
    }
    torch.manual_seed(0)
    save_weights(AffinityNet(tiny_params), tmp_path, {"kind": "affinity", "params": wider})
    with pytest.raises(WeightsError, match="card and weights do not describe an affinity network"):
        load_affinity(tmp_path)
    save_weights(AffinityNet(tiny_params), tmp_path, {"kind": "affinity"})
    with pytest.raises(WeightsError, match="card and weights do not describe an affinity network"):
        load_affinity(tmp_path)
