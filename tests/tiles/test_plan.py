"""Where tiles lie, and the levels of an image."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ggn.core.allocation import on_disk
from ggn.tiles import Tile, cores, plan_tiles, pyramid


def test_tiles_by_hand() -> None:
    assert plan_tiles((4, 10), 4, 1) == [Tile(0, 0, 4, 4), Tile(3, 0, 7, 4), Tile(6, 0, 10, 4)]
    assert plan_tiles((3, 2), 4, 1) == [Tile(0, 0, 2, 3)]
    own = cores(plan_tiles((4, 10), 4, 1))
    assert own == [Tile(0, 0, 3, 4), Tile(3, 0, 6, 4), Tile(6, 0, 10, 4)]
    with pytest.raises(ValueError, match="must overlap by 0 to 2, got 3"):
        plan_tiles((9, 9), 4, 3)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 20), st.data())
def test_tiles_cover_the_image_and_share_what_was_asked(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, side // 2))
    tiles = plan_tiles((height, width), side, overlap)
    seen, own = np.zeros((height, width), int), np.zeros((height, width), int)
    for tile, core in zip(tiles, cores(tiles), strict=True):
        tile.of(seen)[:] += 1
        core.of(own)[:] += 1
        assert tile.shared(core) == core
        assert (tile.right - tile.left, tile.bottom - tile.top) == (
            min(width, side),
            min(height, side),
        )
    assert seen.min() == 1
    assert (own == 1).all()
    lefts = sorted({tile.left for tile in tiles})
    assert all(after - before <= side - overlap for before, after in itertools.pairwise(lefts))


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_levels_are_means_of_the_one_before(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    levels = pyramid(image, 16)
    with TemporaryDirectory() as folder:
        on_files = pyramid(image, 16, on_disk(Path(folder)))
    assert all((a == b).all() for a, b in zip(levels, on_files, strict=True))
    assert max(levels[-1].shape[:2]) <= 16
    assert levels[0] is image
    for before, after in itertools.pairwise(levels):
        wanted = ((before.shape[0] + 1) // 2, (before.shape[1] + 1) // 2, 3)
        assert after.shape == wanted
        high, wide = before.shape[0] // 2, before.shape[1] // 2
        blocks = before[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, 3)
        means = blocks.astype(float).mean(axis=(1, 3))
        assert np.abs(after[:high, :wide] - means).max(initial=0) <= 0.5
