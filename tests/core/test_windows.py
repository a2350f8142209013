"""Masks as bitmaps of their boxes, and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ggn.core.masks import encode
from ggn.core.windows import mask_of, window_of


def test_a_window_by_hand() -> None:
    bitmap = np.zeros((5, 8), bool)
    bitmap[1:3, 4:7] = True
    bitmap[1, 5] = False
    window = window_of(encode(bitmap[None])[0])
    assert (window.left, window.top) == (4, 1)
    assert window.bitmap.astype(int).tolist() == [[1, 0, 1], [1, 1, 1]]


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
