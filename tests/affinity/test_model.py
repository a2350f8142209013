"""The network gives one logit per pixel of an image of any size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ggn.affinity.loss import affinity_loss
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import affinity_targets
from ggn.engine.backbone import normalise
from ggn.openmmlab import load_checkpoint
from ggn.openmmlab.names import reference_names


def tiny(pool_norm: str = "group", **options: Any) -> AffinityNet:
    backbone = {"name": "resnet10", "width": 8, "weights": None, **options.pop("backbone", {})}
    sizes = {"pool_channels": 8, "head_channels": 16, "pool_norm": pool_norm}
    torch.manual_seed(0)
    return AffinityNet(AffinityParams.model_validate({"backbone": backbone, **sizes, **options}))


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 40), (33, 31), (64, 64), (97, 65), (224, 100)])
def test_logits_have_the_size_of_the_image(size_hw: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = tiny().eval()(torch.randn(2, 3, *size_hw))
    assert logits.shape == (2, 1, *size_hw)
    assert logits.isfinite().all()


def test_the_head_works_at_stride_4() -> None:
    net = tiny().eval()
    with torch.inference_mode():
        assert net.head(net.backbone(torch.randn(1, 3, 50, 70))).shape == (1, 1, 13, 18)


def test_a_scale_shows_the_network_a_larger_image_and_nothing_else() -> None:
    image = torch.randn(1, 3, 40, 56)
    plain, scaled = tiny().eval(), tiny(image_scale=2.0).eval()
    scaled.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        larger = F.interpolate(image, (80, 112), mode="bilinear", align_corners=False)
        quarter = plain.head(plain.backbone(larger))
        expected = F.interpolate(quarter, (40, 56), mode="bilinear", align_corners=False)
        assert torch.equal(scaled(image), expected)
        assert scaled(torch.randn(1, 3, 1, 3)).shape == (1, 1, 1, 3)


def test_a_feature_pyramid_does_without_the_fourth_stage() -> None:
    net = tiny(head="fpn").train()
    assert not [key for key in net.state_dict() if key.startswith("backbone.layer4")]
    assert net.head(net.backbone(torch.randn(1, 3, 50, 70))).shape == (1, 1, 13, 18)
    logits = net(torch.randn(2, 3, 97, 65))
    assert logits.shape == (2, 1, 97, 65)
    logits.square().mean().backward()
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_half_precision_leaves_no_plateaus() -> None:
    net = tiny().eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        quarter = net.head(net.backbone(torch.randn(1, 3, 128, 128)))
    assert quarter.dtype == torch.float32
    assert quarter.unique().numel() > 0.99 * quarter.numel()


def test_every_parameter_learns() -> None:
    net = tiny().train()
    net(torch.randn(2, 3, 96, 96)).square().mean().backward()
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


# --- one image a batch: training and evaluation must be the same function ---


def train_and_eval(net: AffinityNet) -> tuple[Tensor, Tensor]:
    """Logits of one image in training, then in evaluation with the statistics of that image."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    image = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        return net.train()(image), net.eval()(image)


def test_without_batch_statistics_training_and_evaluation_are_equal() -> None:
    trained, evaluated = train_and_eval(tiny(head_norm="group", backbone={"norm": "group"}))
    assert torch.equal(trained, evaluated)


def test_training_and_evaluation_agree_at_batch_one() -> None:
    trained, evaluated = train_and_eval(tiny())
    # Running variances are unbiased: n/(n − 1) of the batch's, n = 12 at the coarsest stage.
    spread = trained.std()
    assert (trained - evaluated).abs().max() < 0.5 * spread


def test_batch_norm_on_a_pooled_map_is_why_groups_are_the_default() -> None:
    # The branch of bin 1 is constant over one image: batch norm makes nothing of it in training.
    for pool_norm, silent in (("batch", True), ("group", False)):
        net = tiny(pool_norm).train()
        outputs: list[Tensor] = []
        branch = net.head.pooled[0]
        branch.register_forward_hook(lambda _m, _i, out, kept=outputs: kept.append(out))  # type: ignore[misc]
        with torch.no_grad():
            net(torch.randn(1, 3, 96, 128))
        assert bool(outputs[0].abs().max() < 1e-3) == silent


# --- against the reference's numbers: golden, sections A, B and C ---


@pytest.fixture
def reference_net(recorded_weights: Callable[[str], dict[str, Tensor]]) -> AffinityNet:
    net = AffinityNet(AffinityParams(pool_norm="batch"))
    load_checkpoint(net, recorded_weights("pa"))
    return net


@pytest.mark.parametrize("name", ["B_pa", "B_synth_pa"])
def test_equals_the_reference(
    recorded_file: Callable[[str], Path], reference_net: AffinityNet, name: str
) -> None:
    golden = np.load(recorded_file(f"{name}.npz"))
    image = np.load(recorded_file(f"{name.replace('_pa', '_image')}.npz"))["rgb_u8"]
    pixels = normalise(torch.from_numpy(image).permute(2, 0, 1)[None])
    net = reference_net.eval()
    with torch.inference_mode():
        features = net.backbone(pixels)
        quarter = net.head(features)
        affinity = net(pixels).sigmoid()
    for level, feature in enumerate(features):
        chosen = feature.contiguous().flatten()[torch.from_numpy(golden[f"c_native_{level}_idx"])]
        np.testing.assert_allclose(chosen, golden[f"c_native_{level}_val"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(quarter[0, 0], golden["logit_quarter_native"], atol=2e-4)
    np.testing.assert_allclose(affinity[0, 0], golden["pa_native"], atol=5e-5)


def test_loss_gradients_and_statistics_equal_the_reference(
    recorded_file: Callable[[str], Path], reference_net: AffinityNet
) -> None:
    """One training step with the reference's targets.

    It adds the labels of overlapping masks, and the 8 by which it divides include neighbours
    outside the image.
    """
    golden = np.load(recorded_file("B_synth_image.npz"))
    expected = json.loads((recorded_file("C_losses.json")).read_text())["pa"]
    image = torch.from_numpy(golden["rgb_u8"])
    height, width = image.shape[:2]
    masks = torch.from_numpy(np.unpackbits(golden["gt_masks_packed"], axis=-1)[:, :, :width])
    summed = (masks.int() * torch.arange(1, len(masks) + 1).view(-1, 1, 1)).sum(0)
    target, weight = affinity_targets(summed[None])
    agreeing = (target * neighbours_inside(height, width)).round()
    net = reference_net.train()
    logits = net(normalise(image.permute(2, 0, 1)[None]))
    loss = affinity_loss(logits, agreeing / 8, weight, 0.05)
    loss.backward()
    assert loss.item() == pytest.approx(expected["total"], rel=1e-5)
    our_name = {theirs: ours for ours, theirs in reference_names(net).items()}
    for theirs, norm in expected["grad_norm"].items():
        gradient = net.get_parameter(our_name[theirs]).grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(norm, rel=2e-3, abs=1e-6), theirs
    for theirs, values in expected["updated_running"].items():
        ours = net.get_buffer(our_name[theirs])[: len(values)]
        np.testing.assert_allclose(ours, values, rtol=1e-4, atol=1e-5)


def neighbours_inside(height: int, width: int) -> Tensor:
    """How many of the 8 neighbours of each pixel lie in the image."""
    ones = torch.ones(1, 1, height, width)
    return nn.functional.conv2d(ones, torch.ones(1, 1, 3, 3), padding=1) - 1
