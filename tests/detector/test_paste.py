"""Probabilities per cell become masks of the image as by bilinear sampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import grid_sample

from ggn.core.masks import RLE, decode, encode
from ggn.detector.paste import encode_boxes, encode_masks, paste_probabilities


def sampled(cells: Tensor, box: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The slow twin: torch's bilinear sampling at every pixel centre of the image."""
    height, width = size_hw
    x1, y1, x2, y2 = box.tolist()
    x = (torch.arange(width) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(height) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return grid_sample(cells[None, None], grid[None], align_corners=False)[0, 0]


def pasted(cells: Tensor, box: list[float], size_hw: tuple[int, int]) -> Tensor:
    window = (0, 0, size_hw[1], size_hw[0])
    return torch.from_numpy(paste_probabilities(cells.numpy(), box, window))


def encoded(cells: Tensor, boxes: Tensor, size_hw: tuple[int, int], threshold: float) -> list[RLE]:
    return encode_masks(cells.numpy(), boxes.numpy(), size_hw, threshold)


def test_a_mask_that_fits_the_pixels_is_copied() -> None:
    cells = torch.tensor([[0.1, 0.9], [0.6, 0.4]])
    expected = torch.zeros((5, 4))
    expected[2:4, 1:3] = cells
    assert torch.allclose(pasted(cells, [1, 2, 3, 4], (5, 4)), expected, atol=1e-6)


def test_a_box_holds_the_pixels_whose_centres_it_holds() -> None:
    boxes = np.array(
        [[1, 2, 3, 4], [0.6, 0.4, 2.6, 1.4], [2, 0, 4, 5], [3, 1, 2, 4], [4, 5, 4, 5]], np.float32
    )
    found = decode(encode_boxes(boxes, (5, 4)), (5, 4))
    expected = np.zeros((5, 5, 4), dtype=np.uint8)
    expected[0, 2:4, 1:3] = expected[1, 0:1, 1:3] = expected[2, :, 2:4] = 1
    assert np.array_equal(found, expected)  # the fourth is inverted, the last one a point


def test_between_cell_centres_values_are_mixed_and_fall_to_zero_outside() -> None:
    (row,) = pasted(torch.ones((1, 1)), [2, 0, 6, 1], (1, 8))
    # One cell of width 4, centred on 4: the value falls by 1/4 per pixel.
    assert row.tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875, 0.875, 0.625, 0.375, 0.125])


def test_a_window_is_a_part_of_the_image() -> None:
    torch.manual_seed(0)
    cells, box = torch.rand(4, 4), [2.5, 3.0, 17.0, 11.0]
    whole = pasted(cells, box, (14, 20))
    window = paste_probabilities(cells.numpy(), box, (5, 2, 18, 9))
    np.testing.assert_allclose(window, whole[2:9, 5:18], atol=1e-6)


PLACES = st.floats(-10, 25, width=32)
SIDES = st.floats(0.5, 40, width=32)


@settings(deadline=None, max_examples=100)
@given(x=PLACES, y=PLACES, width=SIDES, height=SIDES, seed=st.integers(0, 99))
def test_masks_are_those_of_bilinear_sampling(
    x: float, y: float, width: float, height: float, seed: int
) -> None:
    torch.manual_seed(seed)
    size, cells = (17, 23), torch.rand(6, 6)
    box = torch.tensor([x, y, x + width, y + height])
    slow = sampled(cells, box, size)
    assert torch.allclose(pasted(cells, box.tolist(), size), slow, atol=1e-3)
    if float((slow - 0.4).abs().min()) > 1e-3:  # else rounding decides
        (mask,) = encoded(cells[None], box[None], size, 0.4)
        assert mask == encode((slow >= 0.4).numpy()[None])[0]


@pytest.mark.parametrize(
    ("box", "counts"),  # the cells are so fine that masks are boxes
    [
        ([1, 1, 3, 2], [4, 1, 2, 1, 4]),  # rows 1, columns 1 and 2 of 3 × 4 pixels
        ([0, 0, 2, 3], [0, 6, 6]),  # whole columns are one run
        ([2, 0, 4, 3], [6, 6]),  # up to the last pixel
        ([0, 0, 4, 3], [0, 12]),
        ([0, 2, 1, 3], [2, 1, 9]),
        ([-9, -9, 20, 20], [0, 12]),
        ([30, 30, 40, 40], [12]),  # off the image
    ],
)
def test_run_lengths_by_hand(box: list[float], counts: list[int]) -> None:
    (mask,) = encoded(torch.ones((1, 64, 64)), torch.tensor([box]), (3, 4), 0.5)
    bitmap = np.zeros(12, dtype=bool)
    starts = np.cumsum([0, *counts])
    for start, stop in zip(starts[1::2], starts[2::2], strict=False):
        bitmap[start:stop] = True
    assert starts[-1] == 12
    assert mask == encode(bitmap.reshape(4, 3).T[None])[0]


def test_the_threshold_itself_is_inside() -> None:
    cells = torch.tensor([[[0.5, 0.49], [0.51, 0.0]]])
    (mask,) = encoded(cells, torch.tensor([[0.0, 0, 2, 2]]), (2, 2), 0.5)
    assert decode([mask], (2, 2))[0].tolist() == [[1, 0], [1, 0]]


def test_a_box_without_area_has_an_empty_mask_and_no_box_none() -> None:
    (mask,) = encoded(torch.ones((1, 4, 4)), torch.tensor([[3.0, 3, 3, 3]]), (8, 8), 0.5)
    assert not np.any(decode([mask], (8, 8)))
    assert encoded(torch.ones((0, 4, 4)), torch.zeros((0, 4)), (8, 8), 0.5) == []


def test_what_lies_left_of_the_image_or_above_it_is_cut_off() -> None:
    boxes = np.array([[-2, -3, 2, 1], [-3, -3, -1, -1]], np.float32)
    found = decode(encode_boxes(boxes, (5, 4)), (5, 4))
    expected = np.zeros((2, 5, 4), dtype=np.uint8)
    expected[0, :1, :2] = 1
    assert np.array_equal(found, expected)
