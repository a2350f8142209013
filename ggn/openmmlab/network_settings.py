"""Tables of the settings of a network and its training, and their names in params.yaml.

A setting is named by its path in an mmdetection 2.x config, as `translate` in recipe.py writes it.
"""

from typing import Any

from ggn.openmmlab.rules import (
    Pairs,
    Rule,
    UnsupportedError,
    anything,
    at_most,
    nested,
    one_of,
    only,
    single,
    to,
)


def _frozen(value: Any) -> Any:
    if value not in (-1, 1, 2, 3, 4):  # 0 is the stem alone
        raise UnsupportedError("only -1 or 1 to 4")
    return max(value, 0)


def _warmup(value: Any) -> Pairs:
    return [("warmup_steps", 0)] if value is None else only("linear")(value)


def _betas(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2 or value[1] != 0.999:
        raise UnsupportedError("only [momentum, 0.999]")
    return value[0]


def _positive_weight(value: Any) -> Any:
    return 1.0 if value is None else single(value)


_BACKBONE = {
    "type": only("ResNet"),
    "depth": to("backbone.name", lambda depth: f"resnet{depth}"),
    "base_channels": to("backbone.width"),
    "frozen_stages": to("backbone.frozen_stages", _frozen),
    "style": one_of("backbone.stride_in_1x1", {"pytorch": False, "caffe": True}),
    "norm": one_of(
        "backbone.norm", {"BN, norm_eval": "frozen_batch", "BN": "batch", "GN": "group"}
    ),
    "norm_cfg.requires_grad": only(True),
    "norm_cfg.num_groups": only(32),
    "num_stages": only(4),
    "out_indices": only([0, 1, 2, 3]),
    "strides": only([1, 2, 2, 2]),
    "dilations": only([1, 1, 1, 1]),
    "deep_stem": only(False),
    "avg_down": only(False),
    "with_cp": anything,
    "zero_init_residual": anything,  # before the pretrained weights are loaded
    "in_channels": only(3),
    "init_cfg.type": only("Pretrained"),
}
_PRETRAINED = one_of(
    "backbone.weights",
    {None: None, **{f"torchvision://resnet{depth}": "imagenet" for depth in (18, 34, 50, 101)}},
)
_NORMALIZE = {
    "type": only("Normalize"),
    "mean": only([123.675, 116.28, 103.53]),
    "std": only([58.395, 57.12, 57.375]),
    "to_rgb": only(True),
}

TRAINING: dict[str, Rule] = {
    "model.pretrained": _PRETRAINED,
    "model.backbone.init_cfg.checkpoint": _PRETRAINED,
    **nested("model.backbone", _BACKBONE),
    "optimizer.type": one_of("optimizer", {"SGD": "sgd", "AdamW": "adamw"}),
    "optimizer.lr": to("lr"),
    "optimizer.momentum": to("momentum"),
    "optimizer.betas": to("momentum", _betas),
    "optimizer.weight_decay": to("weight_decay"),
    "optimizer.nesterov": only(False),
    "optimizer.decay_norm_and_bias": to("decay_norm_and_bias"),
    "optimizer.paramwise_cfg.custom_keys.backbone.lr_mult": to("backbone_lr_share"),
    "optimizer_config.grad_clip": only(None),
    "optimizer_config.grad_clip.max_norm": to("gradient_clip"),
    "optimizer_config.grad_clip.norm_type": only(2),
    "lr_config.policy": one_of("schedule", {"step": "steps", "CosineAnnealing": "cosine"}),
    "lr_config.step": to("milestones"),
    "lr_config.gamma": to("gamma"),
    "lr_config.min_lr": only(0),
    "lr_config.min_lr_ratio": at_most(1e-4, "which learn nothing"),
    "lr_config.by_epoch": only(True),
    "lr_config.warmup": _warmup,
    "lr_config.warmup_iters": to("warmup_steps"),
    "lr_config.warmup_ratio": to("warmup_factor"),
    "lr_config.warmup_by_epoch": only(False),
    "runner.type": only("EpochBasedRunner"),
    "runner.max_epochs": to("epochs"),
    "total_epochs": to("epochs"),
    "batch_size": to("batch_size"),
    "fp16.loss_scale": to("precision", lambda _: "16-mixed"),  # which scales the loss by itself
    "pipeline.RandomFlip.flip_ratio": one_of("flip", {0.5: True, 0.0: False, None: False}),
    "pipeline.RandomFlip.direction": only("horizontal"),
    "pipeline.RandomFlip.type": only("RandomFlip"),
    **nested("pipeline.Normalize", _NORMALIZE),
    **nested("test_pipeline.Normalize", _NORMALIZE),
    "test_pipeline.MultiScaleFlipAug.flip": only(False),
    "pipeline.Resize.keep_ratio": only(True),
    "test_pipeline.Resize.keep_ratio": only(True),
    "pipeline.Pad.size_divisor": only(32),
    "test_pipeline.Pad.size_divisor": only(32),
}
"""Rules for both networks: the backbone, its training, the steps that prepare an image."""

AFFINITY: dict[str, Rule] = {
    "model.classifier.type": only("PairwiseAffinityHeadUperNet"),
    "model.classifier.channels": only(1),
    "model.classifier.norm_type": one_of("head_norm", {"BN": "batch", "GN": "group"}),
    "model.loss_affinity.type": only("CrossEntropyLoss"),
    "model.loss_affinity.use_sigmoid": only(True),
    "model.loss_affinity.class_weight": to("pos_weight", _positive_weight),
    "model.loss_affinity.reduction": only("none"),  # the mean is taken over the pixels that count
    "model.loss_affinity.loss_weight": only(1),
    "model.affinity_reduction": only("mean"),
    "model.filter_bg": anything,  # the same pixels count
}
"""Rules for the affinity network."""


def _scale(value: Any) -> Any:
    sides = single(value) if isinstance(value, list) and len(value) == 1 else value
    if (
        not isinstance(sides, list)
        or len(sides) != 2
        or not all(isinstance(side, int) for side in sides)
    ):
        raise UnsupportedError("only one size, of two sides in pixels")
    return sorted(sides, reverse=True)


SIZE: dict[str, Rule] = {
    "pipeline.Resize.img_scale": to("max_size", _scale),
    "test_pipeline.Resize.img_scale": to("max_size", _scale),
    "test_pipeline.MultiScaleFlipAug.img_scale": to("max_size", _scale),
}
"""Rules for the section `detector` of every config."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "model.backbone": {"frozen_stages": -1, "norm_cfg.type": "BN"},
    "model.loss_affinity": {"use_sigmoid": False, "class_weight": None, "reduction": "mean"},
    "model.rpn_head": {"loss_bbox.type": "SmoothL1Loss"},
    "model.roi_head.bbox_head": {"num_classes": 80, "loss_bbox.type": "SmoothL1Loss"},
    "model.roi_head.mask_head": {"num_classes": 80},
    "lr_config": {"warmup": None},
    "pipeline": {"RandomFlip.flip_ratio": None},
}
"""OpenMMLab's defaults for keys that a config leaves out, where they differ from ours."""

OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.0, "weight_decay": 0.0},
    "AdamW": {"betas": [0.9, 0.999], "weight_decay": 0.01},
}
"""Likewise for `optimizer`, by its type."""

EFFECTIVE = (
    "model",
    "train_cfg",
    "test_cfg",
    "data",
    "optimizer",
    "optimizer_config",
    "lr_config",
    "runner",
    "total_epochs",
    "fp16",
    "custom_hooks",
    "pa_to_masks",
)
"""Names at the top of a config that change the result; others are variables or logging."""

_LOADING = "LoadImageFromFile|LoadAnnotations|DefaultFormatBundle|ImageToTensor|Collect"
WITHOUT_EFFECT = (
    r"model\.type",  # handled before
    r"model\..*in_channels",  # follows from the other layers
    r".*\.debug",
    r".*\.gpu_assign_thr",
    r"data\.(workers_per_gpu|persistent_workers|pin_memory)",
    r"data\.(train|val|test)\.(filter_empty_gt|test_mode)",
    rf"(test_)?pipeline\.({_LOADING})\..*",
    r"(test_)?pipeline\.(Resize|Pad|MultiScaleFlipAug)\.type",
    r"test_pipeline\.RandomFlip\..*",  # MultiScaleFlipAug says whether it flips
    r"custom_hooks\.(NumClassCheckHook|CheckInvalidLossHook)\..*",
)
"""Patterns of settings that have no effect here."""
