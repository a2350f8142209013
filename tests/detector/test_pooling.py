"""Regions are read from the level of the pyramid that fits their size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from ggn.detector.pooling import pool_regions, pyramid_level, roi_align


def square(side: float) -> list[float]:
    return [10.0, 10.0, 10.0 + side, 10.0 + side]


def ramp(height: int, width: int, batch: int = 1) -> Tensor:
    """Features that say where they are: channel 0 is x, channel 1 is y, in cells."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).float().expand(batch, -1, -1, -1)


def pyramid(batch: int = 1) -> list[Tensor]:
    return [ramp(256 // stride, 256 // stride, batch) * stride for stride in (4, 8, 16, 32)]


def test_levels_change_where_the_side_doubles() -> None:
    sides = [1, 111, 113, 223, 225, 447, 449, 2000]
    levels = pyramid_level(torch.tensor([square(side) for side in sides]), level_scale=56)
    assert levels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_empty_box_is_on_the_finest_level_and_an_inverted_one_on_none() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [9, 5, 5, 9]])
    assert pyramid_level(boxes, level_scale=56).tolist() == [0, -1]


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
def test_cells_are_the_features_at_their_centres(sampling_ratio: int) -> None:
    boxes = torch.tensor([[16.0, 32, 48, 48], [20, 20, 180, 200]])
    pooled = pool_regions(pyramid(), [boxes], 4, level_scale=56, sampling_ratio=sampling_ratio)
    for box, cells, stride in zip(boxes, pooled, (4, 8), strict=True):
        x1, y1, x2, y2 = box.tolist()
        at = (torch.arange(4) + 0.5) / 4
        # Features sit half a cell off the pixel grid: what a cell of index i says is at i + ½.
        assert torch.allclose(cells[0, 0], x1 + (x2 - x1) * at - stride / 2, atol=1e-3)
        assert torch.allclose(cells[1, :, 0], y1 + (y2 - y1) * at - stride / 2, atol=1e-3)


def test_every_box_is_read_from_its_own_image() -> None:
    features = [torch.stack([f, f + 1000]) for f in (level[0] for level in pyramid())]
    box = torch.tensor([[32.0, 32, 64, 64]])
    none = torch.zeros((0, 4))
    alone = pool_regions(features, [none, box], 2, level_scale=56, sampling_ratio=0)
    both = pool_regions(features, [box, box], 2, level_scale=56, sampling_ratio=0)
    assert torch.allclose(both[1] - both[0], torch.tensor(1000.0))
    assert torch.equal(alone[0], both[1])
    assert pool_regions(features, [none, none], 2, level_scale=56, sampling_ratio=0).shape == (
        0,
        2,
        2,
        2,
    )


def test_an_inverted_box_has_no_features() -> None:
    boxes = torch.tensor([[60.0, 20, 20, 60]])
    pooled = pool_regions(pyramid(), [boxes], 2, level_scale=56, sampling_ratio=0)
    assert not pooled.any()


@pytest.mark.parametrize("sampling_ratio", [0, 1])
def test_gradients_flow_into_the_level_that_was_read(sampling_ratio: int) -> None:
    features = [level.clone().requires_grad_() for level in pyramid()]
    boxes = torch.tensor([square(20), square(150)])
    pool_regions(
        features, [boxes], 2, level_scale=56, sampling_ratio=sampling_ratio
    ).sum().backward()
    totals = [0.0 if f.grad is None else float(f.grad.sum()) for f in features]
    # 2 channels × 4 cells, each cell a mean of features: its weights add up to 1.
    assert totals == pytest.approx([8, 8, 0, 0])


@pytest.mark.parametrize("sampling_ratio", [1, 2])
def test_a_fixed_number_of_samples_equals_torchvisions(sampling_ratio: int) -> None:
    torch.manual_seed(0)
    ours = torch.randn(3, 4, 12, 20, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    corners = torch.rand(9, 2) * torch.tensor([60.0, 30.0])
    sides = torch.rand(9, 2) * torch.tensor([20.0, 18.0])
    boxes = torch.cat([corners, corners + sides], dim=1)
    boxes[0] = torch.tensor([0.0, 0, 80, 48])  # the whole frame
    boxes[1] = torch.tensor([80.0, 48, 80, 48])  # its very corner
    rois = torch.cat([torch.tensor([0.0, 1, 2] * 3)[:, None], boxes], dim=1)
    first = roi_align(ours, rois, 5, 0.25, sampling_ratio)
    second = torchvision.ops.roi_align(theirs, rois, 5, 0.25, sampling_ratio, aligned=True)
    assert torch.allclose(first, second, atol=1e-4)
    weights = torch.randn(first.shape)
    (first * weights).sum().backward()
    (second * weights).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-3)
    assert roi_align(ours, rois[:0], 5, 0.25, sampling_ratio).shape == (0, 4, 5, 5)


def test_levels_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("B_synth_maskrcnn.npz"))
    levels = pyramid_level(torch.tensor(golden["proposals"][:, :4]), level_scale=56)
    assert np.array_equal(levels, golden["roi_level"])


def test_a_side_of_exactly_twice_the_scale_is_on_the_second_level() -> None:
    boxes = torch.tensor([square(112), square(224), square(448)])
    assert pyramid_level(boxes, level_scale=56).tolist() == [1, 2, 3]
