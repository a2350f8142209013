"""A small network's config in mmdetection 2.x's format, and when masks agree with recorded ones."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core.masks import decode

MODEL = """
'''A class-agnostic Mask R-CNN.'''
channels = 16
conv = dict(in_channels=channels, feat_channels=channels)
model = dict(
    type='MaskRCNN',
    pretrained='torchvision://resnet18',
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, num_stages=4, out_indices=(0, 1, 2, 3),
        frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True,
        style='pytorch'),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=channels, num_outs=5),
    rpn_head=dict(
        type='RPNHead', **conv,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[.0, .0, .0, .0],
            target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=channels, featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=channels, fc_out_channels=32, roi_feat_size=7,
            num_classes=1,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
                target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0)),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=channels, featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead', num_convs=2, in_channels=channels, conv_out_channels=channels,
            num_classes=1,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3,
                match_low_quality=True, ignore_iof_thr=-1),
            sampler=dict(
                type='RandomSampler', num=128, pos_fraction=0.5, neg_pos_ub=-1,
                add_gt_as_proposals=False),
            allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(
            nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5,
                match_low_quality=False, ignore_iof_thr=-1),
            sampler=dict(
                type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1,
                add_gt_as_proposals=True),
            mask_size=28, pos_weight=-1, debug=False)),
    test_cfg=dict(
        rpn=dict(
            nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0),
        rcnn=dict(
            score_thr=0.0, nms=dict(type='nms', iou_threshold=0.7), max_per_img=300,
            mask_thr_binary=0.5)))
"""

DATASET = """
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', img_scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.5),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size_divisor=32),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels', 'gt_masks']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug', img_scale=(1333, 800), flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ])
]
data = dict(
    samples_per_gpu=2, workers_per_gpu=2,
    train=dict(
        type=dataset_type, train_class='voc', eval_class='nonvoc',
        ann_file=data_root + 'annotations/instances_train2017.json',
        img_prefix=data_root + 'train2017/', pipeline=train_pipeline),
    val=dict(
        type=dataset_type, ann_file=data_root + 'annotations/instances_val2017.json',
        img_prefix=data_root + 'val2017/', pipeline=test_pipeline),
    test=dict(
        type=dataset_type, ann_file=data_root + 'annotations/instances_val2017.json',
        img_prefix=data_root + 'val2017/', pipeline=test_pipeline))
evaluation = dict(metric=['bbox', 'segm'])
"""

SCHEDULE = """
optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(
    policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[8, 11])
runner = dict(type='EpochBasedRunner', max_epochs=12)
"""

RUN = """
_base_ = ['_base_/model.py', '_base_/dataset.py', '_base_/schedule.py']
model = dict(backbone=dict(norm_eval=True))
lr_config = dict(step=[6, 7])
runner = dict(max_epochs=8)
checkpoint_config = dict(interval=1)
log_level = 'INFO'
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """`maskrcnn.py` with three files in `_base_`: every setting is one that we have."""
    folder = tmp_path / "configs"
    (folder / "_base_").mkdir(parents=True)
    texts = {"model": MODEL, "dataset": DATASET, "schedule": SCHEDULE}
    for name, text in texts.items():
        (folder / "_base_" / f"{name}.py").write_text(text)
    (folder / "maskrcnn.py").write_text(RUN)
    return folder / "maskrcnn.py"


@pytest.fixture
def masks_agree() -> Callable[[Iterable[Any], Iterable[Any], tuple[int, int]], bool]:
    """Whether nearly all masks are the same, and each of up to 4 others is one but for 3 pixels.

    Processors round differently, and a pixel at the threshold then changes sides.
    """

    def agree(ours: Iterable[Any], theirs: Iterable[Any], size_hw: tuple[int, int]) -> bool:
        first, second = (
            {m.decode() if isinstance(m, bytes) else str(m) for m in masks}
            for masks in (ours, theirs)
        )
        drawn = [
            decode(
                [{"size": list(size_hw), "counts": counts} for counts in sorted(others)], size_hw
            )
            for others in (first - second, second - first)
        ]
        if not (len(drawn[0]) == len(drawn[1]) <= 4):
            return False
        apart = np.array([[int((a != b).sum()) for b in drawn[1]] for a in drawn[0]])
        return apart.size == 0 or bool((apart.min(0) <= 3).all() and (apart.min(1) <= 3).all())

    return agree
