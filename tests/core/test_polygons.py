"""The polygons of a mask: by hand, then drawn by pycocotools and Pillow as the same mask."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from scipy.ndimage import label

from ggn.core.masks import decode, from_segmentation
from ggn.core.polygons import polygons

BITMAPS = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)
)


def test_rectangle_and_empty_by_hand() -> None:
    bitmap = np.zeros((5, 6), np.uint8)
    assert polygons(bitmap) == []
    bitmap[1:4, 2:6] = 7
    assert [p.tolist() for p in polygons(bitmap)] == [[[2, 1], [6, 1], [6, 4], [2, 4]]]


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    assert [p.tolist() for p in polygons(np.eye(2))] == [
        [[0, 0], [1, 0], [1, 1], [0, 1]],
        [[1, 1], [2, 1], [2, 2], [1, 2]],
    ]
    assert len(polygons(np.eye(3)[::-1])) == 3


def test_a_hole_is_reached_through_a_slit() -> None:
    ring = np.ones((3, 4), np.uint8)
    ring[1, 1] = 0
    (outline,) = polygons(ring)
    assert outline.tolist() == [
        [0, 0], [1, 0], [1, 1], [1, 2], [2, 2], [2, 1], [1, 1], [1, 0], [4, 0], [4, 3], [0, 3],
    ]  # fmt: skip


@given(BITMAPS)
def test_polygons_draw_the_mask(bitmap: np.ndarray) -> None:
    found = polygons(bitmap)
    size = bitmap.shape[0], bitmap.shape[1]
    assert len(found) == label(bitmap)[1]
    if found:
        drawn = from_segmentation([polygon.ravel().tolist() for polygon in found], size)
        assert (decode([drawn], size)[0] == bitmap).all()
    x, y = (np.concatenate([p[:, axis] for p in found] or [np.zeros(0)]) for axis in (0, 1))
    nx, ny = (np.concatenate([np.roll(p[:, a], -1) for p in found] or [x]) for a in (0, 1))
    assert (x * ny - nx * y).sum() / 2 == bitmap.sum(), "clockwise, holes against it"


def test_pillow_fills_a_scaled_up_polygon_to_the_same_mask() -> None:
    """Pillow paints outlines as well: drawn eight times as large, pixel centres tell the mask."""
    bitmap = np.random.default_rng(0).random((24, 31)) < 0.7
    canvas = Image.new("1", (31 * 8, 24 * 8))
    for polygon in polygons(bitmap):
        layer = Image.new("1", canvas.size)
        ImageDraw.Draw(layer).polygon([tuple(p) for p in (polygon * 8).tolist()], fill=1)
        canvas.paste(1, mask=layer)
    assert (np.asarray(canvas)[4::8, 4::8] == bitmap).all()
