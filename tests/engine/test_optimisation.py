"""Optimiser, learning rate and length of a training, by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ggn.engine.optimisation import (
    configure_optimizer,
    lr_factor,
    parameter_groups,
    scaled_lr,
    steps_per_epoch,
    total_steps,
)
from ggn.engine.params import TrainingParams


@pytest.mark.parametrize(
    ("epochs", "images", "batch_size", "steps"),
    [(20, 117_266, 8, 293_180), (1, 7, 2, 4), (2.5, 7, 2, 10), (0.1, 7, 2, 1), (3, 1, 8, 3)],
)
def test_total_steps(epochs: float, images: int, batch_size: int, steps: int) -> None:
    assert total_steps(TrainingParams(epochs=epochs, batch_size=batch_size), images) == steps


def test_no_images_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one image, got 0"):
        steps_per_epoch(0, 2)


def test_the_schedule_by_hand() -> None:
    # 10 images, 2 a step: 5 steps an epoch; drops at steps 10 and 20; 4 steps of warm-up from 0.1.
    params = TrainingParams(
        epochs=6, batch_size=2, warmup_steps=4, warmup_factor=0.1, milestones=[2, 4], gamma=0.1
    )
    factors = [lr_factor(step, params, images=10) for step in (0, 2, 4, 9, 10, 19, 20, 29)]
    assert factors == pytest.approx([0.1, 0.55, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_by_hand() -> None:
    params = TrainingParams(epochs=4, batch_size=2, warmup_steps=0, schedule="cosine")
    factors = [lr_factor(step, params, images=4) for step in (0, 2, 4, 6, 8)]
    assert factors == pytest.approx([1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0])


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 3000),
    st.sampled_from(["steps", "cosine"]),
    st.integers(0, 600),
    st.floats(1e-3, 1),
)
def test_the_factor_stays_within_0_and_1(
    step: int, schedule: str, warmup: int, factor: float
) -> None:
    params = TrainingParams.model_validate(
        {"schedule": schedule, "warmup_steps": warmup, "warmup_factor": factor}
    )
    assert 0 <= lr_factor(step, params, images=1000) <= 1


@pytest.mark.parametrize(
    ("batch_size", "lr_batch_size", "expected"),
    [(16, None, 0.02), (16, 16, 0.02), (32, 16, 0.04), (4, 16, 0.005), (8, 1, 0.16)],
)
def test_the_learning_rate_follows_the_batch_if_so_asked(
    batch_size: int, lr_batch_size: int | None, expected: float
) -> None:
    params = TrainingParams(
        lr=0.02, batch_size=batch_size, lr_batch_size=lr_batch_size, warmup_steps=0
    )
    assert scaled_lr(params) == pytest.approx(expected)
    optimiser = configure_optimizer(net(), params, images=100)["optimizer"]
    assert optimiser.param_groups[0]["lr"] == scaled_lr(params)


def test_without_a_reference_batch_the_learning_rate_is_untouched() -> None:
    for batch_size in (1, 3, 7):
        assert scaled_lr(TrainingParams(lr=0.1, batch_size=batch_size)) == 0.1


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False))


def test_weight_decay_may_spare_norms_and_biases() -> None:
    module = net()
    decayed, spared = parameter_groups(module, TrainingParams(decay_norm_and_bias=False))
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (1e-4, 0.0)
    (everything,) = parameter_groups(module, TrainingParams())
    assert len(everything["params"]) == 5


class WithBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 1)


def test_the_backbone_may_learn_more_slowly_than_the_rest() -> None:
    params = TrainingParams(lr=0.1, backbone_lr_share=0.2, decay_norm_and_bias=False)
    groups = parameter_groups(WithBackbone(), params)
    rates = [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups]
    assert rates == [
        (0.1, 1e-4, 1),
        (0.1, 0.0, 1),
        (pytest.approx(0.02), 1e-4, 1),
        (pytest.approx(0.02), 0.0, 1),
    ]
    (everything,) = parameter_groups(WithBackbone(), TrainingParams())
    assert len(everything["params"]) == 4


def test_adamw_by_hand() -> None:
    """The first step is lr × sign of the gradient, after a decay of lr × weight_decay."""
    params = TrainingParams(optimizer="adamw", lr=0.1, weight_decay=0.2, warmup_steps=0)
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    optimiser = configure_optimizer(module, params, images=8)["optimizer"]
    (3 * module(torch.ones(1, 1))).sum().backward()
    optimiser.step()
    assert module.weight.item() == pytest.approx(2 * (1 - 0.1 * 0.2) - 0.1)


@pytest.mark.parametrize("spare", [False, True])
def test_frozen_parameters_are_left_out(spare: bool) -> None:
    module = net()
    module[0].requires_grad_(False)  # type: ignore[index, operator]
    groups = parameter_groups(module, TrainingParams(decay_norm_and_bias=not spare))
    assert sum(len(group["params"]) for group in groups) == 3


def test_sgd_follows_the_schedule() -> None:
    params = TrainingParams(
        epochs=1, batch_size=1, lr=0.5, warmup_steps=2, warmup_factor=0.5, milestones=[0.75]
    )
    module = nn.Linear(1, 1, bias=False)
    configured = configure_optimizer(module, params, images=4)
    optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    seen = []
    for _ in range(4):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert seen == pytest.approx([0.25, 0.375, 0.5, 0.05])


def test_one_step_by_hand() -> None:
    params = TrainingParams(lr=0.1, momentum=0.5, weight_decay=0.2, warmup_steps=0)
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    optimiser = configure_optimizer(module, params, images=8)["optimizer"]
    closure: Callable[[], None] = lambda: module(torch.ones(1, 1)).sum().backward()  # noqa: E731
    for expected in (2 - 0.1 * (1 + 0.2 * 2), 1.86 - 0.1 * (0.5 * 1.4 + 1 + 0.2 * 1.86)):
        optimiser.zero_grad()
        closure()
        optimiser.step()
        assert module.weight.item() == pytest.approx(expected)
