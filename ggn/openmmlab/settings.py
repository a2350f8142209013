"""What each setting of an mmdetection 2.x config is called in params.yaml: tables, nothing else.

A setting is named by its path in the config, as `translate` in recipe.py writes it.
"""

from collections.abc import Callable
from typing import Any

from ggn.data.splits import PARTITIONS

Pairs = list[tuple[str, Any]]
Rule = Callable[[Any], Pairs]
"""A setting's value to keys of one section of params.yaml; raises UnsupportedError."""


class UnsupportedError(Exception):
    """A value that we have no counterpart for; the message says which there are."""


def to(key: str, change: Callable[[Any], Any] = lambda value: value) -> Rule:
    """The setting is our `key`, its value changed."""
    return lambda value: [(key, change(value))]


def only(*values: Any) -> Rule:
    """We do what these values mean, and nothing else."""

    def rule(value: Any) -> Pairs:
        if value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return []

    return rule


def one_of(key: str, values: dict[Any, Any]) -> Rule:
    """Our `key` has another word for each of these values."""

    def rule(value: Any) -> Pairs:
        if isinstance(value, list | dict) or value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return [(key, values[value])]

    return rule


def _anything(_: Any) -> Pairs:
    return []


def _single(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 1:
        raise UnsupportedError("only a list of one")
    return value[0]


def _half(value: Any) -> Any:
    if not isinstance(value, int) or value % 2:
        raise UnsupportedError("only an even number")
    return value // 2


def _frozen(value: Any) -> Any:
    if value not in (-1, 1, 2, 3, 4):  # 0 is the stem alone
        raise UnsupportedError("only -1 or 1 to 4")
    return max(value, 0)


def _epochs(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _path(value: Any) -> Any:
    if not isinstance(value, str):
        raise UnsupportedError("only one path")
    return value.rstrip("/") or value


def _warmup(value: Any) -> Pairs:
    return [("warmup_steps", 0)] if value is None else only("linear")(value)


def _nested(prefix: str, rules: dict[str, Rule]) -> dict[str, Rule]:
    return {f"{prefix}.{name}": rule for name, rule in rules.items()}


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
    "dcn": only(None),
    "with_cp": _anything,
    "in_channels": only(3),
    "init_cfg.type": only("Pretrained"),
}
_PRETRAINED = one_of(
    "backbone.weights",
    {None: None, **{f"torchvision://resnet{depth}": "imagenet" for depth in (18, 34, 50, 101)}},
)

TRAINING = {
    "model.pretrained": _PRETRAINED,
    "model.backbone.init_cfg.checkpoint": _PRETRAINED,
    **_nested("model.backbone", _BACKBONE),
    "optimizer.type": only("SGD"),
    "optimizer.lr": to("lr"),
    "optimizer.momentum": to("momentum"),
    "optimizer.weight_decay": to("weight_decay"),
    "optimizer_config.grad_clip": only(None),
    "optimizer_config.grad_clip.max_norm": to("gradient_clip"),
    "optimizer_config.grad_clip.norm_type": only(2),
    "lr_config.policy": one_of("schedule", {"step": "steps", "CosineAnnealing": "cosine"}),
    "lr_config.step": to("milestones", _epochs),
    "lr_config.gamma": to("gamma"),
    "lr_config.min_lr": only(0),
    "lr_config.min_lr_ratio": only(0),
    "lr_config.by_epoch": only(True),
    "lr_config.warmup": _warmup,
    "lr_config.warmup_iters": to("warmup_steps"),
    "lr_config.warmup_ratio": to("warmup_factor"),
    "runner.type": only("EpochBasedRunner"),
    "runner.max_epochs": to("epochs"),
    "total_epochs": to("epochs"),
    "batch_size": to("batch_size"),
    "pipeline.RandomFlip.flip_ratio": one_of("flip", {0.5: True, 0.0: False, None: False}),
    "pipeline.RandomFlip.type": only("RandomFlip"),
    "pipeline.MultiScaleFlipAug.flip": only(False),
    "pipeline.Normalize.type": only("Normalize"),
    "pipeline.Normalize.mean": only([123.675, 116.28, 103.53]),
    "pipeline.Normalize.std": only([58.395, 57.12, 57.375]),
    "pipeline.Normalize.to_rgb": only(True),
}
"""Of both networks: the backbone, its training, the normalisation of its images."""

_ASSIGNER = {"type": only("MaxIoUAssigner"), "ignore_iof_thr": only(-1)}
_SAMPLER = {"type": only("RandomSampler"), "neg_pos_ub": only(-1)}
_PROPOSALS = {
    "nms_pre": to("rpn.candidates_per_level"),
    "nms_post": to("rpn.proposals"),
    "max_per_img": to("rpn.proposals"),
    "max_num": to("rpn.proposals"),
    "nms_thr": to("rpn.nms_iou"),
    "nms.type": only("nms"),
    "nms.iou_threshold": to("rpn.nms_iou"),
    "nms_across_levels": only(False),
    "min_bbox_size": only(0),
}
_CODER = {
    "type": only("DeltaXYWHBBoxCoder"),
    "target_means": only([0, 0, 0, 0]),
}


def _extractor(pool_key: str) -> dict[str, Rule]:
    return {
        "type": only("SingleRoIExtractor"),
        "roi_layer.type": only("RoIAlign"),
        "roi_layer.output_size": to(pool_key),
        "roi_layer.sampling_ratio": to("roi_sampling_ratio"),
        "roi_layer.aligned": only(True),
        "out_channels": to("fpn_channels"),
        "featmap_strides": only([4, 8, 16, 32]),
        "finest_scale": to("roi_level_scale"),
    }


DETECTOR = {
    **_nested(
        "model.neck",
        {
            "type": only("FPN"),
            "out_channels": to("fpn_channels"),
            "num_outs": only(5),
            "start_level": only(0),
            "add_extra_convs": only(False),
        },
    ),
    **_nested(
        "model.rpn_head",
        {
            "type": only("RPNHead"),
            "feat_channels": to("fpn_channels"),
            "anchor_generator.type": only("AnchorGenerator"),
            "anchor_generator.scales": to("rpn.anchor_scale", _single),
            "anchor_generator.ratios": only([1]),
            "anchor_generator.strides": only([4, 8, 16, 32, 64]),
            **_nested("bbox_coder", {**_CODER, "target_stds": only([1, 1, 1, 1])}),
            "loss_cls.type": only("CrossEntropyLoss"),
            "loss_cls.use_sigmoid": only(True),
            "loss_cls.loss_weight": only(1),
            "loss_bbox.type": only("L1Loss"),
            "loss_bbox.loss_weight": only(1),
        },
    ),
    "model.roi_head.type": only("StandardRoIHead"),
    **_nested("model.roi_head.bbox_roi_extractor", _extractor("box.pool_size")),
    **_nested("model.roi_head.mask_roi_extractor", _extractor("mask.pool_size")),
    **_nested(
        "model.roi_head.bbox_head",
        {
            "type": only("Shared2FCBBoxHead"),
            "fc_out_channels": to("box.channels"),
            "roi_feat_size": to("box.pool_size"),
            "num_classes": only(1),
            "reg_class_agnostic": _anything,  # the same with one class
            **_nested("bbox_coder", {**_CODER, "target_stds": to("box.delta_stds")}),
            "loss_cls.type": only("CrossEntropyLoss"),
            "loss_cls.use_sigmoid": only(False),
            "loss_cls.loss_weight": only(1),
            "loss_bbox.type": only("L1Loss"),
            "loss_bbox.loss_weight": only(1),
        },
    ),
    **_nested(
        "model.roi_head.mask_head",
        {
            "type": only("FCNMaskHead"),
            "num_convs": to("mask.convolutions"),
            "conv_out_channels": to("mask.channels"),
            "num_classes": only(1),
            "class_agnostic": _anything,
            "norm_cfg": only(None),
            "norm_cfg.type": one_of("mask.norm", {"GN": "group"}),
            "norm_cfg.num_groups": only(32),
            "norm_cfg.requires_grad": only(True),
            "loss_mask.type": only("CrossEntropyLoss"),
            "loss_mask.use_mask": only(True),
            "loss_mask.loss_weight": only(1),
        },
    ),
    **_nested(
        "model.train_cfg.rpn",
        {
            "assigner.pos_iou_thr": to("rpn.positive_iou"),
            "assigner.neg_iou_thr": to("rpn.negative_iou"),
            "assigner.min_pos_iou": to("rpn.low_quality_iou"),
            "assigner.match_low_quality": only(True),
            "sampler.num": to("rpn.samples"),
            "sampler.pos_fraction": to("rpn.positive_fraction"),
            "sampler.add_gt_as_proposals": only(False),
            **_nested("assigner", _ASSIGNER),
            **_nested("sampler", _SAMPLER),
            "allowed_border": only(-1),
            "pos_weight": only(-1),
        },
    ),
    **_nested("model.train_cfg.rpn_proposal", _PROPOSALS),
    **_nested("model.test_cfg.rpn", _PROPOSALS),
    **_nested(
        "model.train_cfg.rcnn",
        {
            "assigner.pos_iou_thr": to("box.positive_iou"),
            "assigner.neg_iou_thr": to("box.positive_iou"),
            "assigner.min_pos_iou": _anything,  # only asked with match_low_quality
            "assigner.match_low_quality": only(False),
            "sampler.num": to("box.samples"),
            "sampler.pos_fraction": to("box.positive_fraction"),
            "sampler.add_gt_as_proposals": only(True),
            **_nested("assigner", _ASSIGNER),
            **_nested("sampler", _SAMPLER),
            "mask_size": to("mask.pool_size", _half),
            "pos_weight": only(-1),
        },
    ),
    **_nested(
        "model.test_cfg.rcnn",
        {
            "score_thr": only(0),
            "nms.type": only("nms"),
            "nms.iou_threshold": to("detection.nms_iou"),
            "max_per_img": to("detection.max_detections"),
            "mask_thr_binary": to("detection.mask_threshold"),
        },
    ),
    "pipeline.Resize.type": only("Resize"),
    "pipeline.Resize.img_scale": to("max_size"),
    "pipeline.Resize.keep_ratio": only(True),
    "pipeline.MultiScaleFlipAug.img_scale": to("max_size"),
    "pipeline.Pad.type": only("Pad"),
    "pipeline.Pad.size_divisor": only(32),
}
"""Of the class-agnostic Mask R-CNN."""

OLN: dict[str, Rule] = {
    "model.rpn_head.bbox_coder.type": only("TBLRBBoxCoder"),
    "model.rpn_head.bbox_coder.normalizer": only(1),
    "model.rpn_head.loss_bbox.type": only("IoULoss"),
    "model.rpn_head.loss_bbox.loss_weight": to("oln.box_weight"),
    "model.train_cfg.rpn.allowed_border": only(0),
}
"""Where OLN's heads differ from those of Mask R-CNN."""

DATA: dict[str, Rule] = {
    "data_root": to("root", _path),
    "data.train.ann_file": to("train_annotations", _path),
    "data.train.img_prefix": to("train_images", _path),
    "data.val.ann_file": to("val_annotations", _path),
    "data.val.img_prefix": to("val_images", _path),
    "data.train.train_class": one_of("seen", {name: name for name in PARTITIONS}),
    "data.train.eval_class": one_of("unseen", {name: name for name in PARTITIONS}),
}
"""Of the section `data`."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "model.backbone": {"frozen_stages": -1, "norm_cfg.type": "BN"},
    "model.rpn_head": {"loss_bbox.type": "SmoothL1Loss"},
    "model.roi_head.bbox_head": {"num_classes": 80, "loss_bbox.type": "SmoothL1Loss"},
    "model.roi_head.mask_head": {"num_classes": 80},
    "optimizer": {"momentum": 0.0, "weight_decay": 0.0},
    "lr_config": {"warmup": None},
    "pipeline": {"RandomFlip.flip_ratio": None},
}
"""What OpenMMLab takes where a part of a config is silent, if that is not what ours takes."""

EFFECTIVE = (
    "model",
    "train_cfg",
    "test_cfg",
    "data",
    "data_root",
    "optimizer",
    "optimizer_config",
    "lr_config",
    "runner",
    "total_epochs",
    "fp16",
    "custom_hooks",
    "custom_imports",
)
"""Names at the top of a config that change the result; others are variables or logging."""

WITHOUT_EFFECT = (
    r"model\.type",  # looked at before
    r"model\..*in_channels",  # follows from the other layers
    r".*\.debug",
    r"data\.(workers_per_gpu|persistent_workers)",
    r"data\.(train|val|test)\.(type|filter_empty_gt|test_mode|is_class_agnostic)",
    r"data\.test\.(ann_file|img_prefix)",
    r"data\.(val|test)\.(train_class|eval_class)",
    r"pipeline\.(Collect|DefaultFormatBundle|ImageToTensor|LoadImageFromFile|LoadAnnotations)\..*",
    r"pipeline\.MultiScaleFlipAug\.type",
)
"""Patterns of settings that decide nothing here."""
