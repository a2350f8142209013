"""Tables of the settings of a detector's heads and their names in params.yaml."""

from ggn.openmmlab.rules import Rule, anything, half, nested, one_of, only, single, to

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
    "clip_border": only(True),
}
_L1 = {"type": only("L1Loss"), "loss_weight": only(1), "reduction": only("mean")}


def _cross_entropy(sigmoid: bool) -> dict[str, Rule]:
    return {
        "type": only("CrossEntropyLoss"),
        "use_sigmoid": only(sigmoid),
        "loss_weight": only(1),
        "reduction": only("mean"),
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


_NECK = {
    "type": only("FPN"),
    "out_channels": to("fpn_channels"),
    "num_outs": only(5),
    "start_level": only(0),
    "add_extra_convs": only(False),
}
_RPN_HEAD = {
    "type": only("RPNHead"),
    "feat_channels": to("fpn_channels"),
    "anchor_generator.type": only("AnchorGenerator"),
    "anchor_generator.scales": to("rpn.anchor_scale", single),
    "anchor_generator.ratios": only([1]),
    "anchor_generator.strides": only([4, 8, 16, 32, 64]),
    **nested("bbox_coder", {**_CODER, "target_stds": only([1, 1, 1, 1])}),
    "reg_decoded_bbox": only(False),
    **nested("loss_cls", _cross_entropy(sigmoid=True)),
    **nested("loss_bbox", _L1),
}
_BOX_HEAD = {
    "type": only("Shared2FCBBoxHead"),
    "fc_out_channels": to("box.channels"),
    "roi_feat_size": to("box.pool_size"),
    "num_classes": only(1),
    "reg_class_agnostic": anything,  # the same with one class
    "reg_decoded_bbox": only(False),
    "norm_cfg.type": anything,  # of convolutions, which this head does without
    "norm_cfg.num_groups": anything,
    "norm_cfg.requires_grad": anything,
    **nested("bbox_coder", {**_CODER, "target_stds": to("box.delta_stds")}),
    **nested("loss_cls", _cross_entropy(sigmoid=False)),
    **nested("loss_bbox", _L1),
}
_MASK_HEAD = {
    "type": only("FCNMaskHead"),
    "num_convs": to("mask.convolutions"),
    "conv_out_channels": to("mask.channels"),
    "roi_feat_size": to("mask.pool_size"),
    "num_classes": only(1),
    "class_agnostic": anything,
    "upsample_cfg.type": only("deconv"),
    "upsample_cfg.scale_factor": only(2),
    "norm_cfg.type": one_of("mask.norm", {"GN": "group"}),
    "norm_cfg.num_groups": only(32),
    "norm_cfg.requires_grad": only(True),
    "loss_mask.type": only("CrossEntropyLoss"),
    "loss_mask.use_mask": only(True),
    "loss_mask.loss_weight": only(1),
}
_TRAIN_RPN = {
    "assigner.pos_iou_thr": to("rpn.positive_iou"),
    "assigner.neg_iou_thr": to("rpn.negative_iou"),
    "assigner.min_pos_iou": to("rpn.low_quality_iou"),
    "assigner.match_low_quality": only(True),
    **nested("assigner", _ASSIGNER),
    "sampler.num": to("rpn.samples"),
    "sampler.pos_fraction": to("rpn.positive_fraction"),
    "sampler.add_gt_as_proposals": only(False),
    **nested("sampler", _SAMPLER),
    "allowed_border": only(-1),
    "pos_weight": only(-1),
}
_TRAIN_BOXES = {
    "assigner.pos_iou_thr": to("box.positive_iou"),
    "assigner.neg_iou_thr": to("box.positive_iou"),
    "assigner.min_pos_iou": anything,  # only asked with match_low_quality
    "assigner.match_low_quality": only(False),
    **nested("assigner", _ASSIGNER),
    "sampler.num": to("box.samples"),
    "sampler.pos_fraction": to("box.positive_fraction"),
    "sampler.add_gt_as_proposals": only(True),
    **nested("sampler", _SAMPLER),
    "mask_size": to("mask.pool_size", half),
    "pos_weight": only(-1),
}
_TEST_BOXES = {
    "score_thr": only(0),
    "nms.type": only("nms"),
    "nms.iou_threshold": to("detection.nms_iou"),
    "nms.iou_thr": to("detection.nms_iou"),
    "max_per_img": to("detection.max_detections"),
    "mask_thr_binary": to("detection.mask_threshold"),
}

DETECTOR: dict[str, Rule] = {
    **nested("model.neck", _NECK),
    **nested("model.rpn_head", _RPN_HEAD),
    "model.roi_head.type": only("StandardRoIHead"),
    **nested("model.roi_head.bbox_roi_extractor", _extractor("box.pool_size")),
    **nested("model.roi_head.bbox_head", _BOX_HEAD),
    **nested("model.roi_head.mask_roi_extractor", _extractor("mask.pool_size")),
    **nested("model.roi_head.mask_head", _MASK_HEAD),
    **nested("model.train_cfg.rpn", _TRAIN_RPN),
    **nested("model.train_cfg.rpn_proposal", _PROPOSALS),
    **nested("model.test_cfg.rpn", _PROPOSALS),
    **nested("model.train_cfg.rcnn", _TRAIN_BOXES),
    **nested("model.test_cfg.rcnn", _TEST_BOXES),
}
"""Rules of the class-agnostic Mask R-CNN."""

_OLN_RPN_HEAD = {
    "type": only("OlnRPNHead"),
    "bbox_coder.type": only("TBLRBBoxCoder"),
    "bbox_coder.normalizer": only(1),
    "reg_decoded_bbox": only(True),
    "loss_bbox.type": only("IoULoss"),
    "loss_bbox.linear": only(True),
    "loss_bbox.loss_weight": to("oln.box_weight"),
    "loss_cls.loss_weight": only(0),
    "objectness_type": only("Centerness"),
    **nested("loss_objectness", _L1),
}
_OLN_BOX_HEAD = {
    "type": only("Shared2FCBBoxScoreHead"),
    "loss_cls.loss_weight": only(0),
    "bbox_score_type": only("BoxIoU"),
    **nested("loss_bbox_score", _L1),
}
_OLN_TRAIN_RPN = {
    "allowed_border": only(0),
    "objectness_assigner.pos_iou_thr": to("oln.centerness_positive_iou"),
    "objectness_assigner.neg_iou_thr": to("oln.centerness_negative_iou"),
    "objectness_assigner.min_pos_iou": to("rpn.low_quality_iou"),
    "objectness_assigner.match_low_quality": only(True),
    **nested("objectness_assigner", _ASSIGNER),
    "objectness_sampler.num": to("rpn.samples"),
    "objectness_sampler.pos_fraction": only(1),
    "objectness_sampler.add_gt_as_proposals": only(False),
    **nested("objectness_sampler", _SAMPLER),
}

OLN: dict[str, Rule] = {
    **nested("model.rpn_head", _OLN_RPN_HEAD),
    "model.roi_head.type": only("OlnRoIHead"),
    **nested("model.roi_head.bbox_head", _OLN_BOX_HEAD),
    **nested("model.train_cfg.rpn", _OLN_TRAIN_RPN),
    # Its proposals are not suppressed, in training (C_losses of tests/golden) and in testing.
    "model.train_cfg.rpn_proposal.nms_thr": anything,
    "model.train_cfg.rpn_proposal.nms.iou_threshold": anything,
    "model.test_cfg.rpn.nms_thr": only(0),
    "model.test_cfg.rpn.nms.iou_threshold": only(0),
}
"""Rules in which OLN's heads differ from those of Mask R-CNN."""
