"""One polygon for a mask, which draws it again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label
from skimage.draw import line, polygon

from ggn.core.masks import encode
from ggn.core.windows import Window, window_of
from ggn.formats.outlines import outline


def draw(points: NDArray[np.int64], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a polygon and draw its outline, as OpenCV's fillPoly does."""
    drawn = np.zeros(size_hw, bool)
    drawn[polygon(points[:, 1], points[:, 0], size_hw)] = True
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        drawn[line(y1, x1, y2, x2)] = True
    return drawn


def test_an_outline_by_hand() -> None:
    """A block of 3 x 2 pixels at (4, 1), and one of 3 x 3 with a hole."""
    points = outline(Window(4, 1, np.ones((2, 3), bool)))
    assert points.tolist() == [[4, 1], [6, 1], [6, 2], [4, 2], [4, 1]]
    frame = np.ones((3, 3), bool)
    frame[1, 1] = False
    assert (draw(outline(Window(0, 0, frame)), (3, 3)) == frame).all()
    assert outline(Window(5, 6, np.ones((1, 1), bool))).tolist() == [[5, 6]] * 3
    with pytest.raises(ValueError, match="an empty mask"):
        outline(Window(0, 0, np.zeros((0, 0), bool)))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.3, 0.95))
@settings(max_examples=300)
def test_what_is_drawn_is_the_mask_and_lines_between_its_parts(
    height: int, width: int, seed: int, density: float
) -> None:
    bitmap = np.random.default_rng(seed).random((height, width)) < density
    if not bitmap.any():
        return
    drawn = draw(outline(window_of(encode(bitmap[None])[0])), bitmap.shape)
    assert (drawn >= bitmap).all()
    parts, count = label(bitmap)
    if count == 1:
        assert (drawn == bitmap).all()
    for part in range(1, count + 1):  # each by itself is drawn exactly, whatever its holes
        alone = parts == part
        assert (draw(outline(window_of(encode(alone[None])[0])), bitmap.shape) == alone).all()


def test_hard_masks(hard_masks: NDArray[np.bool_]) -> None:
    for bitmap in hard_masks:
        drawn = draw(outline(window_of(encode(bitmap[None])[0])), bitmap.shape)
        extra = drawn & ~bitmap
        assert (drawn >= bitmap).all()
        assert extra.sum() <= 8 * (label(bitmap)[1] - 1)  # the gaps are a few pixels wide
