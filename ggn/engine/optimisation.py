"""The optimiser, and a learning rate that is a pure function of the step."""

import math
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW
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
    """Return the rate after the warm-up: `lr`, scaled to the batch if `lr_batch_size` is set."""
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
    """Return the groups of the parameters that learn, those of the backbone last.

    The backbone (the submodule of that name, if there is one) has its own share of the learning
    rate. Biases and the scales and shifts of normalisation layers, which are the parameters of one
    dimension, have no weight decay unless `decay_norm_and_bias` is set.
    """
    lr = scaled_lr(params)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    named = sorted(module.named_parameters(), key=lambda item: _is_of_backbone(item[0]))
    for name, parameter in named:
        if parameter.requires_grad:
            share = params.backbone_lr_share if _is_of_backbone(name) else 1.0
            spared = parameter.ndim <= 1 and not params.decay_norm_and_bias
            decay = 0.0 if spared else params.weight_decay
            groups.setdefault((lr * share, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _is_of_backbone(name: str) -> bool:
    return name.startswith("backbone.")


def configure_optimizer(module: nn.Module, params: TrainingParams, images: int) -> dict[str, Any]:
    """Return what `LightningModule.configure_optimizers` wants: optimiser, per-step schedule."""
    groups = parameter_groups(module, params)
    # One pass over all parameters; in float16 Lightning must clip between unscaling and the step.
    fused = params.precision != "16-mixed"
    optimiser = (
        SGD(groups, momentum=params.momentum, fused=fused)
        if params.optimizer == "sgd"
        else AdamW(groups, betas=(params.momentum, 0.999), fused=fused)
    )
    scheduler = LambdaLR(optimiser, lambda step: lr_factor(step, params, images))
    return {
        "optimizer": optimiser,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
    }
