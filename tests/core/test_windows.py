"""Masks as bitmaps of their boxes, and back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ggn.core.masks import encode
from ggn.core.windows import Window, mask_of, run_lengths, window_of


def test_a_window_by_hand() -> None:
    bitmap = np.zeros((5, 8), bool)
    bitmap[1:3, 4:7] = True
    bitmap[1, 5] = False
    window = window_of(encode(bitmap[None])[0])
    assert (window.left, window.top) == (4, 1)
    assert window.bitmap.astype(int).tolist() == [[1, 0, 1], [1, 1, 1]]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_window_and_its_place_are_the_mask(
    height: int, width: int, seed: int, density: float
) -> None:
    bitmap = np.random.default_rng(seed).random((height, width)) < density
    rle = encode(bitmap[None])[0]
    window = window_of(rle)
    top, left = window.top, window.left
    high, wide = window.bitmap.shape
    assert (window.bitmap == bitmap[top : top + high, left : left + wide]).all()
    assert window.bitmap.sum() == bitmap.sum()
    assert mask_of(window, (height, width)) == rle


@pytest.mark.parametrize(
    ("bitmap", "corner_xy", "counts"),
    [
        ([[1, 1], [1, 0]], (1, 1), [4, 2, 1, 1, 4]),
        ([[1, 0], [0, 1]], (0, 0), [0, 1, 3, 1, 7]),
        (np.ones((3, 2)), (1, 0), [3, 6, 3]),  # whole columns are one run
        (np.ones((3, 2)), (2, 0), [6, 6]),  # no empty run after the last pixel
        (np.ones((3, 2)), (0, 0), [0, 6, 6]),
        (np.ones((3, 4)), (0, 0), [0, 12]),
        ([[1, 1], [1, 1]], (0, 1), [1, 2, 1, 2, 6]),
        (np.zeros((2, 2)), (1, 1), [12]),
        (np.zeros((0, 0)), (4, 3), [12]),
    ],
)
def test_run_lengths_of_an_image_3_high_and_4_wide(
    bitmap: Any, corner_xy: tuple[int, int], counts: list[int]
) -> None:
    pixels = np.array(bitmap, bool)
    assert run_lengths(pixels, corner_xy, (3, 4)) == counts
    mask = mask_of(Window(*corner_xy, pixels), (3, 4))
    expected = np.zeros((3, 4), bool)
    left, top = corner_xy
    expected[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    assert mask == encode(expected[None])[0]
    assert window_of(mask).bitmap.sum() == pixels.sum()


def test_the_window_of_an_empty_mask_has_no_pixel() -> None:
    window = window_of(encode(np.zeros((1, 3, 4), bool))[0])
    assert (window.left, window.top, window.bitmap.shape) == (0, 0, (0, 0))
