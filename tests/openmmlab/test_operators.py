"""The operators that the detector stands on against those of mmcv, forward and backward.

What mmcv gave is recorded. `python tests/openmmlab/test_operators.py` records it again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms, nms

from ggn.detector.pooling import roi_align

FILE = Path(__file__).parents[1] / "golden" / "mmcv_operators.npz"
ALIGN = [(ratio, size) for ratio in (0, 1, 2) for size in (7, 14)]
IOUS = (0.3, 0.5, 0.7)
TOUCHING = torch.tensor(
    [[0.0, 0, 4, 4], [0, 0, 4, 4], [4, 0, 8, 4], [0, 0, 4, 2], [9, 9, 9, 9], [9, 9, 9, 9]]
)
Align = Callable[[Tensor, Tensor, int, int], Tensor]


def random_boxes(count: int, size: float, seed: int = 0) -> Tensor:
    """Boxes xyxy on an image of `size` × `size`, from points to the whole of it."""
    random = np.random.default_rng(seed)
    corners = torch.tensor(random.random((2, count, 2), dtype=np.float32)) * size
    return torch.cat([corners.min(0).values, corners.max(0).values], dim=1)


def random_scores(count: int, seed: int) -> Tensor:
    return torch.tensor(np.random.default_rng(seed).permutation(count) / count).float()


def aligned(align: Align, ratio: int, size: int) -> dict[str, NDArray[Any]]:
    """Every 17th cell that the operator gives, and the gradient of a weighted sum of all."""
    random = np.random.default_rng(1)
    feature = torch.tensor(random.standard_normal((2, 5, 24, 24), dtype=np.float32))
    boxes = torch.cat([random_boxes(40, 95.0), torch.tensor([[0.0, 0, 96, 96], [3, 5, 3, 5]])])
    rois = torch.cat([(torch.arange(len(boxes)) % 2).float()[:, None], boxes], dim=1)
    leaf = feature.requires_grad_()
    out = align(leaf, rois, size, ratio)
    weights = torch.arange(out.numel(), dtype=out.dtype).view_as(out).cos()
    (out * weights).sum().backward()
    assert leaf.grad is not None
    return {"cells": out.detach().flatten()[::17].numpy(), "gradient": leaf.grad.numpy()}


def suppressed(suppress: Callable[[Tensor, Tensor, float], Tensor]) -> dict[str, NDArray[Any]]:
    """The boxes that stay, best first: random ones, and some that touch, repeat or are points."""
    boxes, scores = random_boxes(500, 100.0, seed=2), random_scores(500, 2)
    kept = {f"nms_{iou}": suppress(boxes, scores, iou).numpy() for iou in IOUS}
    falling = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    return kept | {
        f"touching_{iou}": suppress(TOUCHING, falling, iou).numpy() for iou in (0.0, 0.5, 0.7)
    }


def levels() -> tuple[Tensor, Tensor, Tensor]:
    """Each shifts the levels apart in its own way: whole numbers, so that no rounding decides."""
    return random_boxes(300, 100.0, seed=3).round(), random_scores(300, 3), torch.arange(300) % 5


def of_mmcv() -> dict[str, NDArray[Any]]:
    """What mmcv's operators give for all inputs of this file."""
    from mmcv import ops

    def align(feature: Tensor, rois: Tensor, size: int, ratio: int) -> Tensor:
        return ops.roi_align(feature, rois, size, 0.25, ratio, "avg", True)

    arrays = {
        f"align_{ratio}_{size}_{name}": array
        for ratio, size in ALIGN
        for name, array in aligned(align, ratio, size).items()
    }
    arrays |= suppressed(lambda boxes, scores, iou: ops.nms(boxes, scores, iou)[1])
    boxes, scores, level = levels()
    config = {"type": "nms", "iou_threshold": 0.7}
    return {**arrays, "levels": ops.batched_nms(boxes, scores, level, config)[1].numpy()}


@pytest.fixture(scope="module")
def recorded() -> dict[str, NDArray[Any]]:
    return dict(np.load(FILE))


@pytest.mark.openmmlab
def test_the_installed_mmcv_gives_what_is_recorded(recorded: dict[str, NDArray[Any]]) -> None:
    pytest.importorskip("mmcv.ops", reason="needs mmcv-full: make openmmlab")
    found = of_mmcv()
    assert found.keys() == recorded.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, recorded[name], rtol=1e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("ratio", "size"), ALIGN)
def test_roi_align(recorded: dict[str, NDArray[Any]], ratio: int, size: int) -> None:
    for name, array in aligned(lambda f, r, s, n: roi_align(f, r, s, 0.25, n), ratio, size).items():
        expected = recorded[f"align_{ratio}_{size}_{name}"]
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=2e-5, err_msg=name)


def test_nms(recorded: dict[str, NDArray[Any]]) -> None:
    for name, kept in suppressed(nms).items():
        np.testing.assert_array_equal(kept, recorded[name], err_msg=name)
        assert len(kept) > 1


def test_nms_within_each_level(recorded: dict[str, NDArray[Any]]) -> None:
    boxes, scores, level = levels()
    found = batched_nms(boxes, scores, level, 0.7)
    assert set(found.tolist()) == set(recorded["levels"].tolist())


if __name__ == "__main__":
    np.savez_compressed(FILE, **of_mmcv())
