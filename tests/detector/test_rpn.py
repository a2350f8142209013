"""The region proposal network: its outputs, its proposals and its losses by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ggn.detector.params import RPNParams
from ggn.detector.rpn import RPN, RPNOutput

SIZES = [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]  # a frame of 64×64
CELLS = sum(height * width for height, width in SIZES)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def features(batch: int) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, 8, *size) for size in SIZES]


def output(rpn: RPN, batch: int = 1) -> RPNOutput:
    return rpn(features(batch))


def silent(rpn: RPN, batch: int, loud: dict[int, float]) -> RPNOutput:
    """An output without box deltas, with logit -9 but for some anchors of every image."""
    logits = torch.full((batch, CELLS), -9.0)
    for anchor, logit in loud.items():
        logits[:, anchor] = logit
    return output(rpn, batch)._replace(logits=logits, deltas=torch.zeros((batch, CELLS, 4)))


def test_the_head_says_one_logit_and_four_deltas_per_anchor() -> None:
    out = output(RPN(8, RPNParams()), batch=2)
    assert out.logits.shape == (2, CELLS)
    assert out.deltas.shape == (2, CELLS, 4)
    assert out.anchors.shape == (CELLS, 4)
    assert out.anchors_per_level == [256, 64, 16, 4, 1]


def test_outputs_are_in_the_order_of_the_anchors() -> None:
    rpn = RPN(8, RPNParams(anchor_scale=1))
    rpn.conv.weight.data[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    maps = features(1)
    maps[1][0, :, 2, 3] += 100  # row 2, column 3 of stride 8
    out = rpn(maps)
    plain = rpn(features(1))
    changed = (out.logits - plain.logits).abs().argmax()
    assert changed == 256 + 2 * 8 + 3
    assert out.anchors[changed].tolist() == [20, 12, 28, 20]


def test_proposals_come_best_first_thinned_and_clipped() -> None:
    rpn = RPN(8, RPNParams(anchor_scale=8, proposals=3))
    # Anchors of stride 4 are 32 wide: neighbours overlap by 28/36 > 0.7, second neighbours don't.
    out = silent(rpn, 1, {8 * 16 + 8: 3.0, 8 * 16 + 9: 2.0, 8 * 16 + 10: 1.0, 0: 0.5})
    (proposals,) = rpn.propose(out, torch.tensor([[64, 54]]))
    assert proposals.boxes_xyxy.tolist() == [[16, 16, 48, 48], [24, 16, 54, 48], [0, 0, 16, 16]]
    assert proposals.scores.logit().tolist() == pytest.approx([3.0, 1.0, 0.5], rel=1e-5)


def test_levels_do_not_suppress_each_other() -> None:
    rpn = RPN(8, RPNParams(anchor_scale=8, candidates_per_level=1))
    deltas = torch.zeros((1, CELLS, 4))
    out = silent(rpn, 1, {0: 5.0, 256: 4.0})
    deltas[0, 256, 2:] = -float(np.log(2))  # the anchor of stride 8 shrunk to that of stride 4
    (proposals,) = rpn.propose(out._replace(deltas=deltas), torch.tensor([[64, 64]]))
    boxes = proposals.boxes_xyxy.tolist()
    assert len(boxes) == 5  # one of each level
    assert boxes[0] == boxes[1] == [0, 0, 16, 16]


def test_a_box_without_area_stays() -> None:
    rpn = RPN(8, RPNParams(candidates_per_level=1))
    out = silent(rpn, 1, {15: 5.0})
    out.deltas[0, 15, 0] = 50  # far to the right of the image
    (proposals,) = rpn.propose(out, torch.tensor([[64, 64]]))
    assert proposals.boxes_xyxy[0].tolist() == [64, 0, 64, 16]


def test_losses_by_hand() -> None:
    rpn = RPN(8, RPNParams(anchor_scale=8, samples=10_000, positive_fraction=1.0))
    out = silent(rpn, 1, {})
    objects = [torch.tensor([[16.0, 16, 48, 48]])]  # exactly the anchor of row 8, column 8
    assigned = rpn.assign(out, objects[0], (64, 64))
    assert assigned[8 * 16 + 8] == 1
    positive, negative = (int((assigned == k).sum()) for k in (1, 0))
    losses = rpn.losses(out, objects, [(64, 64)], generator())
    expected = positive * np.log1p(np.exp(9)) + negative * np.log1p(np.exp(-9))
    assert losses["rpn_objectness"].item() == pytest.approx(
        expected / (positive + negative), rel=1e-5
    )
    # Deltas of 0 are wrong by the offset of each positive's neighbour from the object.
    offsets = (out.anchors[assigned == 1][:, :2] - 16).abs().sum() / 32
    assert losses["rpn_box"].item() == pytest.approx(float(offsets) / (positive + negative))


def test_an_image_without_objects_teaches_background_only() -> None:
    rpn = RPN(8, RPNParams(samples=64))
    out = output(rpn, batch=2)
    losses = rpn.losses(out, [torch.zeros((0, 4))] * 2, [(64, 64)] * 2, generator())
    assert losses["rpn_box"].item() == 0
    assert losses["rpn_objectness"].item() > 0
    sum(losses.values()).backward()
    assert rpn.objectness.weight.grad is not None
    assert not rpn.deltas.weight.grad.any()


def test_the_frame_beyond_a_smaller_image_is_not_trained() -> None:
    rpn = RPN(8, RPNParams())
    assigned = rpn.assign(output(rpn), torch.zeros((0, 4)), (64, 32))
    assert (assigned.split([256, 64, 16, 4, 1])[0].reshape(16, 16)[:, 8:] == -1).all()
    assert (assigned == 0).sum() == (CELLS - 1) / 2 + 1  # half of every level, all of the last


def test_targets_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    rpn = RPN(8, RPNParams())
    out = rpn([torch.zeros(1, 8, *s) for s in [(56, 80), (28, 40), (14, 20), (7, 10), (4, 5)]])
    assigned = rpn.assign(out, torch.tensor(golden["gt_boxes"]), (224, 320)).numpy()
    assert np.array_equal(assigned > 0, golden["rpn_labels"] == 0)
    assert np.array_equal(assigned >= 0, golden["rpn_label_weights"] == 1)


def test_the_head_starts_close_to_no_opinion() -> None:
    torch.manual_seed(0)
    rpn = RPN(64, RPNParams())
    for layer in (rpn.conv, rpn.objectness, rpn.deltas):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.2)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_every_image_counts_as_if_it_had_a_sample_of_each_kind() -> None:
    """An image of 341 anchors without objects: 64 are drawn, and one positive is counted."""
    rpn = RPN(8, RPNParams(samples=64))
    out = silent(rpn, 2, {})
    losses = rpn.losses(out, [torch.zeros((0, 4))] * 2, [(64, 64)] * 2, generator())
    expected = 2 * 64 * np.log1p(np.exp(-9)) / (2 * 65)
    assert losses["rpn_objectness"].item() == pytest.approx(expected, rel=5e-3)


def test_half_of_the_sample_are_positives_where_there_are_enough() -> None:
    rpn = RPN(8, RPNParams(anchor_scale=8, samples=4, positive_fraction=0.5))
    out = silent(rpn, 1, {})
    rows = [torch.tensor([[16.0, 16, 48, 48], [20.0, 16, 52, 48], [16.0, 20, 48, 52]])]
    losses = rpn.losses(out, rows, [(64, 64)], generator())
    expected = (2 * np.log1p(np.exp(9)) + 2 * np.log1p(np.exp(-9))) / 4
    assert losses["rpn_objectness"].item() == pytest.approx(expected, rel=1e-4)
