"""OLN learns how well boxes fit: centerness, distances to the sides, IoU."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ggn.detector.oln import OlnBoxHead, OlnRPN, centerness
from ggn.detector.params import BoxParams, OlnParams, RPNParams
from ggn.detector.roi_heads import TrainingRegions
from ggn.detector.rpn import RPNOutput

SIZES = [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]  # a frame of 64×64
CELLS = sum(height * width for height, width in SIZES)
FRAME = (64, 64)
NONE = torch.zeros((0, 4))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def oln_rpn(**params: float) -> OlnRPN:
    torch.manual_seed(0)
    return OlnRPN(8, RPNParams(**params), OlnParams())


def output(rpn: OlnRPN, batch: int = 1) -> RPNOutput:
    torch.manual_seed(0)
    return rpn([torch.randn(batch, 8, *size) for size in SIZES])


# --- centerness ---


def test_centerness_by_hand() -> None:
    objects = torch.tensor([[0.0, 0, 20, 10]] * 5)
    centres = torch.tensor([[10.0, 5], [5, 5], [5, 1], [20, 5], [40, 30]])
    anchors = torch.cat([centres - 4, centres + 4], dim=1)
    # the middle; a quarter of the width in: 5 to 15; also a tenth of the height: 1 to 9; outside
    expected = [1, math.sqrt(1 / 3), math.sqrt(1 / 3 * 1 / 9), 0, 0]
    assert centerness(anchors, objects).tolist() == pytest.approx(expected)
    assert centerness(NONE, NONE).shape == (0,)


COORDINATES = st.integers(-100, 100)


@settings(deadline=None, max_examples=100)
@given(x=COORDINATES, y=COORDINATES)
def test_centerness_is_a_share(x: int, y: int) -> None:
    point, box = (
        torch.tensor([[x, y, x, y]], dtype=torch.float32),
        torch.tensor([[-30.0, 0, 50, 60]]),
    )
    value = centerness(point, box).item()
    assert 0 <= value <= 1
    assert (value > 0) == (-30 < x < 50 and 0 < y < 60)


# --- the region proposal network ---


def test_the_head_reads_directions_not_lengths() -> None:
    rpn = oln_rpn()
    rpn.conv.bias.data.zero_()
    maps = [torch.randn(1, 8, *size) for size in SIZES]
    small, large = rpn(maps), rpn([9 * m for m in maps])
    assert torch.allclose(small.logits, large.logits, atol=1e-6)
    assert torch.allclose(small.deltas, large.deltas, atol=1e-6)
    assert rpn.hidden(maps[0]).norm(dim=1).max().item() == pytest.approx(1)


def test_boxes_start_as_their_anchors() -> None:
    rpn = oln_rpn(anchor_scale=2)
    out = output(rpn)
    start = rpn.decode(out.anchors, out.deltas[0])
    sides = out.anchors[:, 2:] - out.anchors[:, :2]
    assert ((start - out.anchors).abs() < 0.1 * sides.repeat(1, 2)).all()


def test_proposals_are_not_thinned_and_may_be_inverted() -> None:
    rpn = oln_rpn(anchor_scale=2, candidates_per_level=3, proposals=1)
    out = output(rpn)
    logits, deltas = torch.zeros((1, CELLS)), torch.full((1, CELLS, 4), 0.5)
    anchor = 8 * 16 + 8  # centre (32, 32), side 8
    logits[0, [anchor, anchor + 1]] = torch.tensor([2.0, 1.0])
    deltas[0, anchor] = torch.tensor([0.5, 0.5, -1.0, 0.5])  # its left side 8 to the right
    (proposals,) = rpn.propose(out._replace(logits=logits, deltas=deltas), torch.tensor([FRAME]))
    assert len(proposals.boxes_xyxy) == 3 + 3 + 3 + 3 + 1
    assert proposals.boxes_xyxy[0].tolist() == [40, 28, 36, 36]
    assert proposals.boxes_xyxy[1].tolist() == [32, 28, 40, 36]
    assert proposals.scores[:2].logit().tolist() == pytest.approx([2, 1], rel=1e-5)


def test_only_anchors_wholly_on_the_image_are_trained() -> None:
    rpn = oln_rpn(anchor_scale=2, samples=10_000)
    anchors = output(rpn).anchors
    targets = rpn.targets(anchors, torch.tensor([[2.0, 2, 10, 10]]), (64, 40), generator())
    trained = anchors[targets.centerness_index]
    assert (trained >= 0).all()
    assert trained[:, 2].max() == 36  # the next one would reach 40, the image's width
    assert targets.box_index.numel() > 0


def test_losses_by_hand() -> None:
    rpn = oln_rpn(anchor_scale=2, samples=10_000)
    out = output(rpn)
    objects = torch.tensor([[28.0, 28, 36, 36]])  # the anchor of row 8, column 8
    boxes = out.deltas.new_tensor([0.5, 0.5, 0.5, 0.0]).expand(1, CELLS, 4)  # right half missing
    out = out._replace(logits=torch.zeros((1, CELLS)), deltas=boxes)
    losses = rpn.losses(out, [objects], [FRAME], generator())
    targets = rpn.targets(out.anchors, objects, FRAME, generator())
    assert targets.box_index.tolist() == [8 * 16 + 8]  # its neighbours overlap by a third
    assert losses["rpn_box"].item() == pytest.approx(10 * 0.5 / targets.sampled)
    assert targets.centerness.sort(descending=True).values[:2].tolist() == pytest.approx([1, 0])
    # A neighbour's centre lies on the object's outline: every target but one is 0.
    expected = 0.5 * len(targets.centerness) / targets.sampled
    assert losses["rpn_centerness"].item() == pytest.approx(expected)


def test_an_object_on_the_upper_or_left_side_trains_no_box() -> None:
    rpn = oln_rpn(anchor_scale=2)
    anchors = output(rpn).anchors
    for corner, boxes in ((0.0, 0), (1.0, 1)):
        objects = torch.tensor([[corner, 4.0, 8 + corner, 12]])
        targets = rpn.targets(anchors, objects, FRAME, generator())
        assert len(targets.box_index) == boxes
        assert targets.centerness.max() > 0.5  # its centerness is learned all the same


def test_negatives_fill_the_sample_of_the_centerness() -> None:
    rpn = oln_rpn(anchor_scale=2, samples=64)
    targets = rpn.targets(
        output(rpn).anchors, torch.tensor([[20.0, 20, 30, 30]]), FRAME, generator()
    )
    assert len(targets.centerness) == 64
    assert 0 < (targets.centerness > 0).sum() < 32


def test_images_without_objects_teach_that_nothing_is_central() -> None:
    rpn = oln_rpn(samples=64, anchor_scale=2)
    losses = rpn.losses(output(rpn, batch=2), [NONE] * 2, [FRAME] * 2, generator())
    assert losses["rpn_box"].item() == 0
    assert losses["rpn_centerness"].item() > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in rpn.parameters())


def everything(recorded_file: Callable[[str], Path]) -> tuple[np.lib.npyio.NpzFile, Tensor, Tensor]:
    golden = np.load(recorded_file("C_targets.npz"))
    anchors = torch.tensor(np.concatenate([golden[f"anchors_{level}"] for level in range(5)]))
    return golden, anchors, torch.tensor(golden["gt_boxes"])


def test_anchor_targets_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden, anchors, objects = everything(recorded_file)
    targets = oln_rpn(samples=10**6).targets(anchors, objects, (214, 310), generator())
    inside = np.flatnonzero(golden["inside_border0"])
    assert np.array_equal(targets.box_index, inside[golden["oln_rpn_pos_inds"]])
    assert np.array_equal(targets.box_index, np.flatnonzero(golden["oln_rpn_bbox_weights"][:, 0]))
    assert np.array_equal(targets.boxes_xyxy, golden["oln_rpn_bbox_targets"][targets.box_index])
    assert targets.sampled == golden["oln_rpn_label_weights"].sum()
    chosen = targets.centerness_index
    assert np.array_equal(
        chosen.sort().values, np.flatnonzero(golden["oln_rpn_objectness_weights"])
    )
    positive = inside[golden["oln_rpn_obj_pos_inds"]]
    assert np.array_equal(chosen[: len(positive)], positive)
    recorded = golden["oln_rpn_objectness_targets"]
    assert np.allclose(targets.centerness, recorded[chosen], atol=1e-6)
    assert (targets.centerness[: len(positive)] == 0).sum() == 10


# --- the box head ---


def box_head(**params: float) -> OlnBoxHead:
    return OlnBoxHead(2, BoxParams(pool_size=2, channels=4, **params))


def test_the_score_is_the_geometric_mean_of_iou_and_centerness() -> None:
    logits = torch.tensor([[0.0], [math.log(3)]])  # IoUs of 1/2 and 3/4
    scores = box_head().scores(logits, torch.tensor([0.5, 0.12]))
    assert scores.tolist() == pytest.approx([0.5, 0.3])


def test_box_losses_by_hand() -> None:
    objects = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 8], [50, 50, 60, 60]])
    regions = TrainingRegions(boxes, torch.tensor([0]))
    logits = torch.tensor([[0.0], [99.0]])  # the background's says nothing
    losses = box_head().losses(logits, torch.zeros((2, 4)), [regions], [objects])
    assert losses["box_iou"].item() == pytest.approx((0.8 - 0.5) / 2)
    # The centre is to move by 1/8 of the height, which is to grow by 5/4.
    l1 = 1 / 8 / 0.1 + math.log(5 / 4) / 0.2
    assert losses["box_regression"].item() == pytest.approx(l1 / 2)


def test_background_alone_teaches_the_box_head_nothing() -> None:
    head = box_head()
    regions = TrainingRegions(torch.rand(3, 4), torch.zeros(0, dtype=torch.int64))
    losses = head.losses(*head(torch.rand(3, 2, 2, 2)), [regions], [NONE])
    assert {name: loss.item() for name, loss in losses.items()} == {
        "box_iou": 0,
        "box_regression": 0,
    }
    sum(losses.values()).backward()
    assert not head.logits.weight.grad.any()


def test_box_targets_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden, _, objects = everything(recorded_file)
    head = box_head(samples=10**6)
    regions = head.training_regions(torch.tensor(golden["proposals"]), objects, generator())
    assert np.allclose(regions.boxes_xyxy, golden["oln_roi_boxes"])
    assert np.array_equal(regions.object_index, golden["oln_roi_pos_gt"])
    weights = golden["oln_roi_iou_weights"]
    assert np.array_equal(np.flatnonzero(weights), np.arange(len(regions.object_index)))
    # Logits and deltas that equal the recorded targets leave no loss.
    iou = torch.tensor(golden["oln_roi_iou_targets"])[:, None].clamp(1e-6, 1 - 1e-6)
    deltas = torch.tensor(golden["oln_roi_bbox_targets"])
    losses = head.losses(iou.logit(), deltas, [regions], [objects])
    assert losses["box_iou"].item() < 1e-5
    assert losses["box_regression"].item() < 1e-4


def test_every_image_counts_as_if_it_had_a_sample_of_each_kind() -> None:
    rpn = oln_rpn(samples=64, anchor_scale=2)
    targets = rpn.targets(output(rpn).anchors, NONE, FRAME, generator())
    assert targets.sampled == 64 + 1
    assert len(targets.box_index) == 0
    assert len(targets.centerness) == 64
