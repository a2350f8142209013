"""The loss is a mean over images of the pixels that belong to objects or lie beside them."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ggn.affinity.loss import affinity_loss, balanced_affinity_loss
from ggn.affinity.targets import affinity_targets
from ggn.core.masks import encode
from ggn.data.samples import instance_map


def maps(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_by_hand() -> None:
    # Logit 0 is p = 1/2: −log p = −log(1 − p) = log 2.
    ones = maps(1, 1)
    loss = affinity_loss(maps(0, 0), maps(1, 0), ones, pos_weight=0.05)
    assert loss.item() == pytest.approx((0.05 + 1) / 2 * math.log(2))
    soft = affinity_loss(maps(0), maps(0.75), maps(1), pos_weight=0.05)
    assert soft.item() == pytest.approx((0.05 * 0.75 + 0.25) * math.log(2))


@pytest.mark.parametrize("target", [1 / 8, 1 / 2, 7 / 8])
def test_the_optimum_is_no_probability(target: float) -> None:
    optimum = 0.05 * target / (0.05 * target + 1 - target)
    logit = maps(math.log(optimum / (1 - optimum))).requires_grad_()
    affinity_loss(logit, maps(target), maps(1), pos_weight=0.05).backward()
    assert logit.grad is not None
    assert abs(logit.grad.item()) < 1e-7
    assert target != 7 / 8 or optimum == pytest.approx(0.26, abs=0.005)


def test_pixels_without_weight_do_not_count() -> None:
    some = affinity_loss(maps(1, -9), maps(0, 1), maps(1, 0), 0.05)
    assert some.item() == pytest.approx(affinity_loss(maps(1), maps(0), maps(1), 0.05).item())


def test_no_object_is_exactly_zero_and_teaches_nothing() -> None:
    target, weight = affinity_targets(torch.zeros(2, 4, 4, dtype=torch.int32))
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    loss = affinity_loss(logits, target, weight, 0.05)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.count_nonzero() == 0


def test_unannotated_objects_do_not_count() -> None:
    # Background three pixels from the only annotated object: whatever is predicted there is right.
    labels = torch.zeros(1, 9, 9, dtype=torch.int32)
    labels[0, :3, :3] = 1
    target, weight = affinity_targets(labels)
    logits = torch.randn(1, 1, 9, 9)
    other = logits.clone()
    other[0, 0, 4:, 4:] = 5
    first, second = (affinity_loss(x, target, weight, 0.05) for x in (logits, other))
    assert first == second


def test_it_is_the_mean_over_images_not_over_pixels() -> None:
    logits, target = torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4)
    logits[0] = 3
    weight = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]]).view(2, 1, 1, 4)
    both = affinity_loss(logits, target, weight, 0.05)
    each = [affinity_loss(logits[i : i + 1], target[:1], weight[i : i + 1], 0.05) for i in (0, 1)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_half_precision_logits_are_summed_in_float32() -> None:
    loss = affinity_loss(maps(1, 2).bfloat16(), maps(1, 0), maps(1, 1), 0.05)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, affinity_loss(maps(1, 2), maps(1, 0), maps(1, 1), 0.05))


# --- the balanced loss ---


def test_balanced_by_hand() -> None:
    # Three interior pixels, one edge, at logit 0 (log 2 each): the edge weighs 3/4, an interior
    # pixel 1.1 * 1/4, and the sum is divided by the four of them.
    target, ones = maps(1, 1, 1, 0.5), maps(1, 1, 1, 1)
    loss = balanced_affinity_loss(maps(0, 0, 0, 0), target, ones)
    assert loss.item() == pytest.approx((3 / 4 + 3 * 1.1 / 4) / 4 * math.log(2))
    sure = balanced_affinity_loss(maps(0, 0, 0, -2), target, ones)  # -log(1 - p) of the edge
    edge = math.log(1 + math.exp(-2))
    assert sure.item() == pytest.approx((3 / 4 * edge + 3 * 1.1 / 4 * math.log(2)) / 4)


def test_balanced_edges_are_both_sides_of_an_outline_and_background_is_nothing() -> None:
    # A row of 3 background pixels and 3 of an object: interior are two of the object (5, 6), edges
    # the two beside the outline (3, 4), and nothing is said of the background (1, 2).
    labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]], dtype=torch.int32)
    target, weight = affinity_targets(labels)
    logits = torch.zeros(1, 1, 1, 6, requires_grad=True)
    balanced_affinity_loss(logits, target, weight).backward()
    assert logits.grad is not None
    down, up = 0.5 * 0.5 / 4, -1.1 * 0.5 * 0.5 / 4
    assert logits.grad.flatten().tolist() == pytest.approx([0, 0, down, down, up, up])


def test_balanced_without_edges_or_without_objects_teaches_nothing() -> None:
    for labels in (torch.ones(1, 4, 4, dtype=torch.int32), torch.zeros(1, 4, 4, dtype=torch.int32)):
        target, weight = affinity_targets(labels)
        logits = torch.randn(1, 1, 4, 4, requires_grad=True)
        loss = balanced_affinity_loss(logits, target, weight)
        loss.backward()
        assert loss.item() == 0.0
        assert logits.grad is not None
        assert logits.grad.count_nonzero() == 0


@pytest.mark.parametrize("edges", [1, 5, 40])
def test_balanced_optimum_of_an_ignorant_map_does_not_depend_on_how_many_edges_there_are(
    edges: int,
) -> None:
    # Of one value for all pixels the best is p = 1.1 / 2.1, whatever the share of the edges.
    target = torch.ones(1, 1, 8, 8)
    target.view(-1)[:edges] = 0
    logit = torch.tensor(math.log(1.1), requires_grad=True)
    loss = balanced_affinity_loss(logit.expand(1, 1, 8, 8), target, torch.ones(1, 1, 8, 8))
    loss.backward()
    assert logit.grad is not None
    assert abs(logit.grad.item()) < 1e-7


def test_balanced_is_over_the_batch_and_in_float32() -> None:
    target, weight = maps(1, 1, 0, 1), maps(1, 1, 1, 0)
    logits = maps(0.5, -1, 2, 3)
    parted = [x.view(2, 1, 1, 2) for x in (logits, target, weight)]
    whole = balanced_affinity_loss(logits, target, weight)
    torch.testing.assert_close(balanced_affinity_loss(*parted), whole)
    half = balanced_affinity_loss(logits.bfloat16(), target, weight)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole)


# --- against the reference: golden, section D ---


@pytest.mark.parametrize("layout", range(5))
def test_equals_the_reference_on_its_targets(
    recorded_file: Callable[[str], Path], layout: int
) -> None:
    golden = np.load(recorded_file("D_pa_targets.npz"))
    expected = json.loads((recorded_file("D_pa_targets.json")).read_text())[str(layout)]
    logits = torch.from_numpy(golden[f"{layout}_logits"]).requires_grad_()
    target = torch.from_numpy(golden[f"{layout}_soft"])[None].float()
    weight = torch.from_numpy(golden[f"{layout}_filter_used"])[None].float()
    loss = affinity_loss(logits, target, weight, 0.05)
    loss.backward()
    # It divides by the number of pixels + 1e-5.
    assert loss.item() == pytest.approx(expected["loss_used"], rel=1e-6)
    np.testing.assert_allclose(logits.grad, golden[f"{layout}_grad_used"], rtol=1e-4, atol=1e-8)


def test_equals_the_reference_on_a_padded_batch(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("D_pa_targets.npz"))
    expected = json.loads((recorded_file("D_pa_targets.json")).read_text())
    logits = torch.from_numpy(golden["batch_logits"])
    target, weight = torch.zeros_like(logits), torch.zeros_like(logits)
    for layout in range(3):
        _, height, width = golden[f"{layout}_soft"].shape
        target[layout, :, :height, :width] = torch.from_numpy(golden[f"{layout}_soft"])
        weight[layout, :, :height, :width] = torch.from_numpy(golden[f"{layout}_filter_used"])
    loss = affinity_loss(logits, target, weight, 0.05)
    assert loss.item() == pytest.approx(expected["batch_loss_used"], rel=1e-6)


@pytest.mark.parametrize("layout", range(3))
def test_with_our_targets_only_the_frame_differs(
    recorded_file: Callable[[str], Path], layout: int
) -> None:
    golden = np.load(recorded_file("D_pa_targets.npz"))
    masks = golden[f"{layout}_masks"]
    labels = torch.from_numpy(instance_map(encode(masks), masks.shape[1:]))
    target, weight = affinity_targets(labels[None])
    frame = torch.ones_like(weight)
    frame[..., 1:-1, 1:-1] = 0
    inner = weight * (1 - frame)
    logits = torch.from_numpy(golden[f"{layout}_logits"])
    loss = affinity_loss(logits, target, inner, 0.05)
    per_pixel = golden[f"{layout}_perpixel_loss"][0]
    expected = per_pixel[inner[0, 0].bool().numpy()].mean()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    whole = affinity_loss(logits, target, weight, 0.05)
    touches = (weight * frame).sum() > 0
    reference = json.loads((recorded_file("D_pa_targets.json")).read_text())[str(layout)]
    differs = abs(whole.item() - reference["loss_used"]) > 1e-4
    assert differs == bool(touches)
