"""Maps the keys of mmdetection 2.x checkpoints to our tensors."""

import re
from collections.abc import Iterator

from torch import nn

from ggn.affinity.model import AffinityNet
from ggn.detector.mask_rcnn import MaskRCNN

Renaming = tuple[str, str]
"""A pattern for the beginning of our key, and its replacement in their key."""

_AFFINITY: tuple[Renaming, ...] = (
    (r"head\.pooled\.", "classifier.ppm_conv."),
    (r"head\.pool_fusion\.", "classifier.ppm_last_conv."),
    (r"head\.lateral\.", "classifier.fpn_in."),
    (r"head\.smooth\.(\d)\.", r"classifier.fpn_out.\1.0."),
    (r"head\.fusion\.", "classifier.conv_last.0."),
    (r"head\.logits\.", "classifier.conv_last.1."),
)
_DETECTOR: tuple[Renaming, ...] = (
    (r"pyramid\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
    (r"pyramid\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
    (r"rpn\.conv\.", "rpn_head.rpn_conv."),
    (r"rpn\.deltas\.", "rpn_head.rpn_reg."),
    (r"box_head\.hidden\.", "roi_head.bbox_head.shared_fcs."),
    (r"box_head\.deltas\.", "roi_head.bbox_head.fc_reg."),
    (r"mask_head\.upsample\.", "roi_head.mask_head.upsample."),
    (r"mask_head\.logits\.", "roi_head.mask_head.conv_logits."),
)
_HEADS: dict[str, tuple[Renaming, ...]] = {
    "mask_rcnn": (
        (r"rpn\.objectness\.", "rpn_head.rpn_cls."),
        (r"box_head\.logits\.", "roi_head.bbox_head.fc_cls."),
    ),
    "oln": (
        (r"rpn\.objectness\.", "rpn_head.rpn_obj."),
        (r"box_head\.logits\.", "roi_head.bbox_head.fc_bbox_score."),
    ),
}


def reference_names(model: nn.Module) -> dict[str, str]:
    """Return the unique key in an mmdetection 2.x checkpoint for each of `model.state_dict()`.

    Raises TypeError if the model is not one of ours.
    """
    rules = list(_rules(model))
    return {key: _renamed(key, rules) for key in model.state_dict()}


def reference_leftovers(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return shapes by key of tensors that a reference checkpoint has but never trains or uses.

    OLN keeps the classifiers of Mask R-CNN.
    """
    if not isinstance(model, MaskRCNN) or model.params.heads != "oln":
        return {}
    return {
        "rpn_head.rpn_cls.weight": (1, model.params.fpn_channels, 1, 1),
        "rpn_head.rpn_cls.bias": (1,),
        "roi_head.bbox_head.fc_cls.weight": (2, model.params.box.channels),
        "roi_head.bbox_head.fc_cls.bias": (2,),
    }


def _rules(model: nn.Module) -> Iterator[Renaming]:
    """Yield rules; the first that fits renames a key. Without one, keys are equal (backbones)."""
    if isinstance(model, AffinityNet):
        yield from _AFFINITY
    elif isinstance(model, MaskRCNN):
        yield from _DETECTOR
        yield from _HEADS[model.params.heads]
        if model.mask_head is not None:
            yield from _mask_convolutions(model.mask_head.convolutions)
    else:
        raise TypeError(
            f"no names of weights are known for a {type(model).__name__}, only for AffinityNet "
            "and MaskRCNN"
        )
    if isinstance(model.backbone.bn1, nn.GroupNorm):  # their names depend on the normalisation
        yield r"(backbone\..*)bn(\d)\.", r"\1gn\2."


def _mask_convolutions(layers: nn.Sequential) -> Iterator[Renaming]:
    """Yield rules for our single sequence; theirs has groups of `conv`, `gn` and an activation."""
    number = -1
    for place, layer in enumerate(layers):
        number += isinstance(layer, nn.Conv2d)
        kind = "gn" if isinstance(layer, nn.GroupNorm) else "conv"
        yield rf"mask_head\.convolutions\.{place}\.", f"roi_head.mask_head.convs.{number}.{kind}."


def _renamed(key: str, rules: list[Renaming]) -> str:
    for pattern, replacement in rules:
        if match := re.match(pattern, key):
            return match.expand(replacement) + key[match.end() :]
    return key
