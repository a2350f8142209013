"""Regions become classes, boxes and masks: samples, losses and detections by hand."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ggn.detector.params import BoxParams, DetectionParams, MaskParams
from ggn.detector.roi_heads import (
    BoxHead,
    MaskHead,
    TrainingRegions,
    mask_targets,
    select_detections,
)

OBJECTS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
NONE = torch.zeros((0, 4))
UNIT = (1.0, 1.0, 1.0, 1.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def box_head(**params: float) -> BoxHead:
    return BoxHead(2, BoxParams(pool_size=2, channels=4, **params))


def box_losses(
    logits: Tensor, deltas: Tensor, regions: list[TrainingRegions], objects: list[Tensor]
) -> dict[str, Tensor]:
    return box_head().losses(logits, deltas, regions, objects)


# --- boxes: training ---


def test_objects_are_candidates_themselves_and_come_before_background() -> None:
    proposals = torch.tensor([[50.0, 50, 60, 60], [21, 20, 40, 40], [0, 0, 4, 4]])
    regions = box_head().training_regions(proposals, OBJECTS, generator())
    assert regions.object_index.tolist() == [0, 1, 1]
    assert regions.boxes_xyxy.tolist() == [
        *OBJECTS.tolist(),
        [21, 20, 40, 40],  # IoU 0.95 with object 1
        [50, 50, 60, 60],
        [0, 0, 4, 4],  # IoU 0.16 with object 0
    ]


def test_an_image_without_objects_gives_background() -> None:
    regions = box_head().training_regions(torch.rand(7, 4), NONE, generator())
    assert len(regions.object_index) == 0
    assert len(regions.boxes_xyxy) == 7


def test_losses_by_hand() -> None:
    regions = TrainingRegions(torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]]), torch.tensor([1]))
    logits = torch.tensor([[0.0, 0], [0, math.log(3)]])  # 1/2 foreground; 3/4 background
    deltas = torch.tensor([[0.0, 0, 0, 0], [9, 9, 9, 9]])  # those of background don't count
    losses = box_losses(logits, deltas, [regions], [OBJECTS])
    assert losses["box_class"].item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    # From (0, 0, 10, 10) to (20, 20, 40, 40): 2.5 sides / 0.1, twice, and log 2 / 0.2, twice.
    l1 = 2 * 25 + 2 * math.log(2) / 0.2
    assert losses["box_regression"].item() == pytest.approx(l1 / 2)


def test_losses_of_two_images_use_each_ones_objects() -> None:
    regions = TrainingRegions(OBJECTS[:1], torch.tensor([0]))
    logits, deltas = torch.zeros((2, 2)), torch.zeros((2, 4))
    losses = box_losses(logits, deltas, [regions, regions], [OBJECTS, OBJECTS[1:]])
    assert losses["box_regression"].item() == pytest.approx((2 * 25 + 2 * math.log(2) / 0.2) / 2)


def test_without_any_object_only_classes_are_learned() -> None:
    head = box_head()
    regions = TrainingRegions(torch.rand(3, 4), torch.zeros(0, dtype=torch.int64))
    logits, deltas = head(torch.rand(3, 2, 2, 2))
    losses = head.losses(logits, deltas, [regions], [NONE])
    assert losses["box_regression"].item() == 0
    (losses["box_class"] + losses["box_regression"]).backward()
    assert head.logits.weight.grad is not None


# --- boxes: detection ---


def detections(logits: Tensor, **limits: float) -> tuple[Tensor, Tensor]:
    proposals = torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 18], [30, 30, 50, 90]])
    return select_detections(
        proposals,
        box_head().scores(logits, torch.ones(3)),
        torch.zeros((3, 4)),
        size_hw=(80, 60),
        scale_wh=(2.0, 1.0),
        delta_stds=UNIT,
        params=DetectionParams(**limits),
    )


def test_detections_are_clipped_rescaled_thinned_and_sorted() -> None:
    boxes, scores = detections(torch.tensor([[0.0, 0], [1.0, 0], [2.0, 0]]))
    # The first overlaps the second by 0.9 and scores less; the third is cut off at height 80.
    assert boxes.tolist() == [[15, 30, 25, 80], [0, 0, 10, 18]]
    assert scores.tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))])


def test_the_number_of_detections_is_limited() -> None:
    boxes, _ = detections(torch.zeros((3, 2)), nms_iou=1.0, max_detections=2)
    assert len(boxes) == 2


def test_a_score_of_zero_is_no_detection() -> None:
    boxes, scores = detections(torch.tensor([[-200.0, 200], [-200, 200], [-5, 5]]))
    assert len(boxes) == len(scores) == 1


# --- masks ---


def test_a_mask_has_twice_the_cells_of_its_region() -> None:
    head = MaskHead(3, MaskParams(pool_size=5, convolutions=2, channels=8, norm="group"))
    assert head(torch.rand(4, 3, 5, 5)).shape == (4, 10, 10)


def test_mask_losses_by_hand_and_without_regions() -> None:
    head = MaskHead(3, MaskParams(pool_size=1, convolutions=0, channels=4))
    logits, targets = torch.zeros((1, 2, 2)), torch.tensor([[[1.0, 0], [0, 1]]])
    assert head.losses(logits, targets)["mask"].item() == pytest.approx(math.log(2))
    empty = head(torch.zeros((0, 3, 1, 1)))
    loss = head.losses(empty, torch.zeros((0, 2, 2)))["mask"]
    assert loss.item() == 0
    loss.backward()


def test_mask_targets_by_hand() -> None:
    masks = torch.zeros((2, 8, 8), dtype=torch.uint8)
    masks[1, 2:6, 2:6] = 1
    boxes = torch.tensor([[2.0, 2, 6, 6], [0, 0, 8, 8], [4, 2, 8, 6]])
    cut = mask_targets(masks, boxes, torch.tensor([1, 1, 1]), 4)
    assert cut[0].tolist() == [[1] * 4] * 4
    inner = [0, 1, 1, 0]
    assert cut[1].tolist() == [[0] * 4, inner, inner, [0] * 4]
    assert cut[2].tolist() == [[1, 1, 0, 0]] * 4
    other = mask_targets(masks, boxes[:1], torch.tensor([0]), 4)
    assert not other.any()
    assert mask_targets(masks, NONE, torch.zeros(0, dtype=torch.int64), 4).shape == (0, 4, 4)


def test_mask_targets_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    image = np.load(recorded_file("B_synth_image.npz"))
    masks = np.unpackbits(image["gt_masks_packed"], axis=-1)[:, :, :310]
    padded = np.pad(masks, ((0, 0), (0, 10), (0, 10)))
    ours = mask_targets(
        torch.tensor(padded),
        torch.tensor(golden["proposals"][golden["mask_prop_index"]]),
        torch.tensor(golden["mask_gt_index"]),
        28,
    )
    theirs = np.unpackbits(golden["mask_targets_bitmap"], axis=-1).reshape(-1, 28, 28)
    assert np.array_equal(ours, theirs)


def test_box_targets_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    objects = torch.tensor(golden["gt_boxes"])
    head = BoxHead(1, BoxParams(samples=10**6, pool_size=1, channels=1))
    regions = head.training_regions(torch.tensor(golden["proposals"]), objects, generator())
    count = len(regions.object_index)
    assert np.allclose(regions.boxes_xyxy, golden["rcnn_roi_boxes"])
    assert np.array_equal(regions.object_index, golden["rcnn_roi_pos_gt"])
    assert np.array_equal(np.flatnonzero(golden["rcnn_roi_labels"] == 0), np.arange(count))
    # Deltas that equal the recorded targets leave no loss.
    deltas = torch.tensor(golden["rcnn_roi_bbox_targets"])
    losses = head.losses(torch.zeros((len(deltas), 2)), deltas, [regions], [objects])
    assert losses["box_regression"].item() < 1e-4


# --- starting weights, samples, halves ---


def test_the_box_head_starts_close_to_no_opinion() -> None:
    torch.manual_seed(0)
    head = BoxHead(16, BoxParams(pool_size=4, channels=512))
    assert head.logits.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.deltas.weight.std().item() == pytest.approx(0.001, rel=0.1)
    # Xavier: uniform between plus and minus the root of 6 / (inputs + outputs).
    for layer, inputs in zip(head.hidden, (16 * 4 * 4, 512), strict=True):
        limit = math.sqrt(6 / (inputs + 512))
        assert layer.weight.shape == (512, inputs)
        assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert not any(p.any() for name, p in head.named_parameters() if name.endswith("bias"))


def test_the_mask_head_starts_with_weights_for_rectified_units() -> None:
    torch.manual_seed(0)
    head = MaskHead(32, MaskParams(convolutions=2, channels=64))
    convolutions = [layer for layer in head.convolutions if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.weight.shape for layer in convolutions] == [(64, 32, 3, 3), (64, 64, 3, 3)]
    for layer in convolutions:  # He: the root of 2 / (outputs times the 9 cells of the kernel)
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
        assert not layer.bias.any()
    assert head.logits.weight.abs().max() > 0.5  # one output: the root of 2
    assert not head.logits.bias.any()
    assert not head.upsample.bias.any()


def test_group_normalisation_takes_the_place_of_the_convolutions_biases() -> None:
    kinds = [
        [(type(layer).__name__, getattr(layer, "bias", None) is None) for layer in head]
        for head in (
            MaskHead(4, MaskParams(convolutions=1, channels=8, norm=norm)).convolutions
            for norm in ("none", "group")
        )
    ]
    assert kinds[0] == [("Conv2d", False), ("ReLU", True)]
    assert kinds[1] == [("Conv2d", True), ("GroupNorm", False), ("ReLU", True)]


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_each_region_is_read_by_itself(count: int) -> None:
    """The regions beside it, and the empty ones that make their number a multiple, don't matter."""
    torch.manual_seed(0)
    pooled = torch.rand(count, 2, 2, 2)
    box, mask = box_head(), MaskHead(2, MaskParams(pool_size=2, convolutions=1, channels=4))
    together, alone = box(pooled), box(pooled[-1:])
    assert torch.allclose(together[0][-1:], alone[0], atol=1e-6)
    assert torch.allclose(together[1][-1:], alone[1], atol=1e-6)
    assert torch.allclose(mask(pooled)[-1:], mask(pooled[-1:]), atol=1e-6)


def test_a_quarter_of_the_regions_are_objects_and_no_more_than_asked_for() -> None:
    near = OBJECTS[:1] + torch.rand(30, 4, generator=generator())  # all overlap the object
    far = torch.tensor([[50.0, 50, 60, 60]]).expand(30, 4)
    head = box_head(samples=8, positive_fraction=0.25)
    regions = head.training_regions(torch.cat([near, far]), OBJECTS[:1], generator())
    assert len(regions.boxes_xyxy) == 8
    assert regions.object_index.tolist() == [0, 0]


def test_a_cell_that_is_half_covered_is_inside() -> None:
    masks = torch.zeros((1, 4, 4), dtype=torch.uint8)
    masks[0, :, :1] = 1
    whole = torch.tensor([[0.0, 0, 4, 4]])
    cut = mask_targets(masks, whole, torch.tensor([0]), 2)  # the left cells: 2 of 4 pixels
    assert cut.tolist() == [[[1, 0], [1, 0]]]
    assert cut.dtype == torch.float32
