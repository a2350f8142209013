"""Which images are looked at in tiles: large ones, and what somebody asks for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ggn.cli.group import LARGEST_WHOLE
from ggn.cli.imagewise import LARGE
from ggn.cli.tiling import AUTO, tiling


def image(height: int, width: int) -> NDArray[np.uint8]:
    """Of that size, without its memory."""
    return np.broadcast_to(np.uint8(0), (height, width, 3))


@pytest.mark.parametrize("side", [128, 800])  # of the network of `shapes`, of the reference's
def test_a_photograph_is_never_tiled_unless_asked(side: int) -> None:
    """A telephone's, a camera's of 45 megapixels, a panorama; then two that are no photographs."""
    auto = tiling(AUTO, LARGE, side)
    for size_hw in ((586, 640), (3024, 4032), (5504, 8256), (2000, 20_000)):
        assert not auto.applies(image(*size_hw))
    for size_hw in ((8000, 8000), (3000, 20_000)):
        assert auto.applies(image(*size_hw))


def test_the_affinity_of_more_than_16_megapixels_is_tiled() -> None:
    """Its network sees the image at full size."""
    auto = tiling(AUTO, LARGEST_WHOLE, 1024)
    assert not auto.applies(image(4000, 4000))
    assert auto.applies(image(4000, 4001))


def test_a_side_tiles_whatever_is_longer() -> None:
    asked, never = tiling("640", LARGE, 128), tiling("no", LARGE, 128)
    assert asked.side == 640
    assert not asked.applies(image(640, 640))
    assert asked.applies(image(100, 641))
    assert not never.applies(image(30_000, 30_000))


@pytest.mark.parametrize("word", ["yes", "63", "65537", "-1", "1e3", ""])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="--tile must be auto, no, or a side from 64 to 65536"):
        tiling(word, LARGE, 128)
