"""The operators that the detector stands on against those of mmcv, forward and backward."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from ggn.detector.pooling import roi_align

pytestmark = pytest.mark.openmmlab


@pytest.fixture(scope="module")
def ops() -> ModuleType:
    return pytest.importorskip("mmcv.ops", reason="needs mmcv-full: make openmmlab")


def random_boxes(count: int, size: float, seed: int = 0) -> Tensor:
    """Boxes xyxy on an image of `size` × `size`, from points to the whole of it."""
    torch.manual_seed(seed)
    corners = torch.rand(2, count, 2) * size
    return torch.cat([corners.min(0).values, corners.max(0).values], dim=1)


def gradient(align: Callable[[Tensor], Tensor], feature: Tensor) -> tuple[Tensor, Tensor]:
    """The operator's result, and the gradient of a weighted sum of it."""
    leaf = feature.clone().requires_grad_()
    out = align(leaf)
    weights = torch.arange(out.numel(), dtype=out.dtype).view_as(out).cos()
    (out * weights).sum().backward()
    assert leaf.grad is not None
    return out.detach(), leaf.grad


@pytest.mark.parametrize("pool_size", [7, 14])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
def test_roi_align(ops: ModuleType, sampling_ratio: int, pool_size: int) -> None:
    torch.manual_seed(1)
    feature = torch.randn(2, 5, 24, 24)
    boxes = torch.cat([random_boxes(40, 95.0), torch.tensor([[0.0, 0, 96, 96], [3, 5, 3, 5]])])
    image = (torch.arange(len(boxes)) % 2).float()
    rois = torch.cat([image[:, None], boxes], dim=1)
    ours = gradient(lambda f: roi_align(f, rois, pool_size, 0.25, sampling_ratio), feature)
    theirs = gradient(
        lambda f: ops.roi_align(f, rois, pool_size, 0.25, sampling_ratio, "avg", True), feature
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
def test_nms(ops: ModuleType, iou: float) -> None:
    boxes, scores = random_boxes(500, 100.0, seed=2), torch.rand(500)
    _, kept = ops.nms(boxes, scores, iou)
    assert torch.equal(nms(boxes, scores, iou), kept)


def test_nms_of_boxes_that_touch_repeat_or_are_points(ops: ModuleType) -> None:
    boxes = torch.tensor(
        [[0.0, 0, 4, 4], [0, 0, 4, 4], [4, 0, 8, 4], [0, 0, 4, 2], [9, 9, 9, 9], [9, 9, 9, 9]]
    )
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    for iou in (0.0, 0.5, 0.7):
        _, kept = ops.nms(boxes, scores, iou)
        assert torch.equal(nms(boxes, scores, iou), kept)


def test_nms_within_each_level(ops: ModuleType) -> None:
    """Each shifts the levels apart in its own way: whole numbers, so that no rounding decides."""
    boxes, scores = random_boxes(300, 100.0, seed=3).round(), torch.rand(300)
    levels = torch.arange(300) % 5
    _, kept = ops.batched_nms(boxes, scores, levels, {"type": "nms", "iou_threshold": 0.7})
    assert set(batched_nms(boxes, scores, levels, 0.7).tolist()) == set(kept.tolist())
