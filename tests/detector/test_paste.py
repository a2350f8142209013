import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import grid_sample

from ggn.core.masks import decode
from ggn.detector import paste
from ggn.detector.paste import encode_masks, paste_probabilities


def sampled(probabilities: Tensor, box: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The slow twin: torch's bilinear sampling at every pixel centre."""
    height, width = size_hw
    x1, y1, x2, y2 = box.tolist()
    x = (torch.arange(width) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(height) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return grid_sample(probabilities[None, None], grid[None], align_corners=False)[0, 0]


def test_a_mask_that_fits_the_pixels_is_copied() -> None:
    cells = torch.tensor([[[0.1, 0.9], [0.6, 0.4]]])
    pasted = paste_probabilities(cells, torch.tensor([[1.0, 2, 3, 4]]), (5, 4))
    expected = torch.zeros((5, 4))
    expected[2:4, 1:3] = cells[0]
    assert torch.allclose(pasted[0], expected, atol=1e-6)


def test_between_cell_centres_values_are_mixed_and_fall_to_zero_outside() -> None:
    row = paste_probabilities(torch.ones((1, 1, 1)), torch.tensor([[2.0, 0, 6, 1]]), (1, 8))[0, 0]
    # One cell of width 4, centred on 4: the value falls by 1/4 per pixel.
    assert row.tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875, 0.875, 0.625, 0.375, 0.125])


@settings(deadline=None, max_examples=40)
@given(
    corner=st.tuples(*[st.floats(-10, 20, width=32)] * 2),
    extent=st.tuples(*[st.floats(0.5, 40, width=32)] * 2),
    seed=st.integers(0, 99),
)
def test_it_is_bilinear_sampling(
    corner: tuple[float, float], extent: tuple[float, float], seed: int
) -> None:
    torch.manual_seed(seed)
    box = torch.tensor([*corner, corner[0] + extent[0], corner[1] + extent[1]])
    cells = torch.rand(1, 6, 6)
    ours = paste_probabilities(cells, box[None], (17, 23))
    assert torch.allclose(ours[0], sampled(cells[0], box, (17, 23)), atol=1e-4)


def test_the_threshold_itself_is_inside() -> None:
    cells = torch.tensor([[[0.5, 0.49], [0.51, 0.0]]])
    (mask,) = encode_masks(cells, torch.tensor([[0.0, 0, 2, 2]]), (2, 2), 0.5)
    assert decode([mask], (2, 2))[0].tolist() == [[1, 0], [1, 0]]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cells, corners = torch.rand(7, 4, 4), torch.rand(7, 2) * 20
    boxes = torch.cat([corners, corners + 12], dim=1)
    at_once = encode_masks(cells, boxes, (30, 40), 0.5)
    monkeypatch.setattr(paste, "_PIXELS_AT_ONCE", 2 * 30 * 40)
    assert encode_masks(cells, boxes, (30, 40), 0.5) == at_once
    assert encode_masks(cells[:0], boxes[:0], (30, 40), 0.5) == []


def test_a_box_without_area_has_an_empty_mask() -> None:
    (mask,) = encode_masks(torch.ones((1, 4, 4)), torch.tensor([[3.0, 3, 3, 3]]), (8, 8), 0.5)
    assert not np.any(decode([mask], (8, 8)))
