"""Random colours: examples by hand, then that the generator decides all and nothing moves."""

import pytest
import torch
from torch import Tensor

from ggn.data.colours import LUMA, RandomColours, RandomInversion
from ggn.engine.draws import sample_generator


def changed(image: Tensor, monkeypatch: pytest.MonkeyPatch, **factors: float) -> Tensor:
    """The image after factors 1 but for those given, at strength 0.5."""
    names = ("brightness", "contrast", "saturation", "red", "green", "blue")
    draws = torch.tensor([factors.get(name, 1.0) for name in names], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: draws)  # (1 + s (2 d - 1)) with s = 1/2
    draws.copy_(draws - 0.5)
    return RandomColours(torch.Generator(), 0.5)(image, {})[0]


def two(left: tuple[int, int, int], right: tuple[int, int, int]) -> Tensor:
    return torch.tensor([left, right], dtype=torch.uint8).t().view(3, 1, 2)


def test_each_factor_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = two((100, 100, 100), (200, 200, 200))
    assert changed(grey, monkeypatch).equal(grey)
    assert changed(grey, monkeypatch, brightness=1.2).equal(two((120,) * 3, (240,) * 3))
    assert changed(grey, monkeypatch, contrast=0.5).equal(two((125,) * 3, (175,) * 3))
    assert changed(grey, monkeypatch, saturation=0.5).equal(grey), "grey has no colour to lose"
    assert changed(grey, monkeypatch, red=0.5).equal(two((50, 100, 100), (100, 200, 200)))
    assert changed(grey, monkeypatch, brightness=1.5).max() == 255, "clipped, not wrapped"


def test_saturation_moves_a_colour_towards_its_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    red = two((200, 0, 0), (200, 0, 0))
    luma = 200 * LUMA[0]
    half = changed(red, monkeypatch, saturation=0.5)[:, 0, 0].tolist()
    assert half == [round((200 + luma) / 2), round(luma / 2), round(luma / 2)]


def test_the_generator_decides_all_and_labels_stay() -> None:
    image = torch.randint(0, 256, (3, 9, 7), dtype=torch.uint8, generator=sample_generator(0, 0))
    labels = torch.arange(63, dtype=torch.int32).view(9, 7)
    results = [
        RandomColours(sample_generator(0, key), 0.2)(image, {"labels": labels}) for key in (1, 1, 2)
    ]
    assert results[0][0].equal(results[1][0])
    assert not results[0][0].equal(results[2][0])
    assert all(target["labels"] is labels for _, target in results)
    assert results[0][0].dtype == torch.uint8


def test_brightness_stays_within_its_bounds() -> None:
    grey = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    values = torch.stack(
        [RandomColours(sample_generator(0, key), 0.2)(grey, {})[0] for key in range(200)]
    )
    assert values.min() >= 64, "darkest: 0.8 of the brightness and 0.8 of its own part"
    assert values.max() <= 144
    assert values.min() < 75 < 130 < values.max(), "and they are used"


def test_inversion_by_hand() -> None:
    """Black becomes white, red cyan; a share of 0 changes nothing, of 1 everything."""
    image = two((0, 0, 0), (255, 0, 10))
    inverted, target = RandomInversion(sample_generator(0, 0), 1.0)(image, {"image_id": 7})
    assert inverted.equal(two((255, 255, 255), (0, 255, 245)))
    assert target == {"image_id": 7}
    assert RandomInversion(sample_generator(0, 0), 0.0)(image, {})[0].equal(image)


def test_a_share_of_the_images_is_inverted() -> None:
    black = torch.zeros((3, 2, 2), dtype=torch.uint8)
    results = [RandomInversion(sample_generator(0, k), 0.25)(black, {})[0] for k in range(400)]
    share = sum(bool(image.max()) for image in results) / 400
    assert abs(share - 0.25) < 0.07  # three standard deviations
