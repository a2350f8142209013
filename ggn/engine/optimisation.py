"""Stochastic gradient descent with a learning rate that is a pure function of the step."""

import math
from typing import Any

from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from ggn.engine.params import TrainingParams


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return ceil(images / batch_size); ValueError where there is nothing to train on."""
    if images < 1:
        raise ValueError(f"training needs at least one image, got {images}")
    return math.ceil(images / batch_size)


def total_steps(params: TrainingParams, images: int) -> int:
    """Return the length of a training: ceil(epochs × ceil(images / batch_size)) steps."""
    return math.ceil(params.epochs * steps_per_epoch(images, params.batch_size))


def scaled_lr(params: TrainingParams) -> float:
    """Return the learning rate after the warm-up: `lr`, in proportion to the batch if so asked."""
    if params.lr_batch_size is None:
        return params.lr
    return params.lr * params.batch_size / params.lr_batch_size


def lr_factor(step: int, params: TrainingParams, images: int) -> float:
    """Return the learning rate of step 0, 1, … as a share of `scaled_lr`.

    The linear warm-up multiplies whatever the schedule says, so a drop inside it still happens.
    """
    factor = _schedule(step, params, images)
    if step < params.warmup_steps:
        share = step / params.warmup_steps
        factor *= params.warmup_factor + (1 - params.warmup_factor) * share
    return factor


def _schedule(step: int, params: TrainingParams, images: int) -> float:
    if params.schedule == "cosine":
        done = step / total_steps(params, images)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    epoch = step / steps_per_epoch(images, params.batch_size)
    return params.gamma ** sum(epoch >= milestone for milestone in params.milestones)


def parameter_groups(module: nn.Module, params: TrainingParams) -> list[dict[str, Any]]:
    """Return SGD's groups of the parameters that learn, without decay on vectors if so asked.

    Biases and the scales and shifts of normalisation layers are the parameters of one dimension.
    """
    learning = [p for p in module.parameters() if p.requires_grad]
    if params.decay_norm_and_bias:
        return [{"params": learning, "weight_decay": params.weight_decay}]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def configure_sgd(module: nn.Module, params: TrainingParams, images: int) -> dict[str, Any]:
    """Return what `LightningModule.configure_optimizers` wants: SGD and its per-step schedule."""
    groups = parameter_groups(module, params)
    optimiser = SGD(groups, lr=scaled_lr(params), momentum=params.momentum)
    scheduler = LambdaLR(optimiser, lambda step: lr_factor(step, params, images))
    return {
        "optimizer": optimiser,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
    }
