"""The affinity of tiles is that of the whole image, as far as the network is local."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.predict import AffinityPredictor
from ggn.tiles import affinity_in_tiles


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_what_looks_no_farther_than_the_halo_is_equal() -> None:
    """A mean over 65 x 65 pixels looks 32 pixels far."""

    def mean(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return uniform_filter(image[..., 0].astype(np.float64), 65, mode="constant").astype("f4")

    image = noise(160, 224)
    np.testing.assert_allclose(affinity_in_tiles(image, mean, 64, 32), mean(image), atol=1e-4)
    nearer = affinity_in_tiles(image, mean, 64, 0)
    assert np.abs(nearer - mean(image)).max() > 1


def test_every_tile_is_told_and_only_multiples_of_the_stride_are_taken() -> None:
    done = list[int]()
    predict = lambda image: image[..., 0] / np.float32(255)  # noqa: E731
    image = noise(70, 100)
    found = affinity_in_tiles(image, predict, 64, 32, done.append)
    assert (found == predict(image)).all()
    assert sum(done) == 4
    for side, halo in ((60, 32), (64, 16), (0, 0)):
        with pytest.raises(ValueError, match="must be multiples of 32"):
            affinity_in_tiles(image, predict, side, halo)


def network(**changes: Any) -> AffinityPredictor:
    """A narrow ResNet-18, whose batch norms have seen something."""
    backbone = {"name": "resnet18", "width": 8, "norm": "batch", "weights": None}
    params = {"backbone": backbone, "pool_channels": 8, "head_channels": 16, **changes}
    torch.manual_seed(0)
    net = AffinityNet(AffinityParams.model_validate(params)).train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(4, 3, 96, 96))
        net.head.logits.weight *= 30  # so that the map is not all 0.5
    return AffinityPredictor(net)


@pytest.mark.parametrize(("halo", "bound"), [(256, 1e-5), (128, 2e-3)])
def test_a_network_without_a_global_look_is_equal(halo: int, bound: float) -> None:
    """Head `fpn` on batch norm, at multiples of 32; the last digits are the order of sums."""
    predictor = network(head="fpn")
    image = noise(640, 704)
    whole = predictor.predict(image)
    assert whole.std() > 0.02
    tiled = affinity_in_tiles(image, predictor.predict, 192, halo)
    assert np.abs(tiled - whole).max() < bound


def test_an_image_of_any_size_is_filled_up() -> None:
    predictor = network(head="fpn")
    image = noise(300, 365)
    filled = np.pad(image, ((0, 20), (0, 19), (0, 0)), mode="edge")
    tiled = affinity_in_tiles(image, predictor.predict, 160, 256)
    np.testing.assert_allclose(tiled, predictor.predict(filled)[:300, :365], atol=1e-5)
