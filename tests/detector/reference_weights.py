"""The recorded reference models: their weights under our names, their input image."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ggn.detector.mask_rcnn import Batch, MaskRCNN
from ggn.detector.params import DetectorParams

_RENAMED = (
    (r"^backbone(.*)\.gn(\d)", r"backbone\1.bn\2"),
    (r"^neck\.lateral_convs\.(\d)\.conv", r"pyramid.inner_blocks.\1.0"),
    (r"^neck\.fpn_convs\.(\d)\.conv", r"pyramid.layer_blocks.\1.0"),
    (r"^rpn_head\.rpn_conv", "rpn.conv"),
    (r"^rpn_head\.rpn_cls", "rpn.objectness"),
    (r"^rpn_head\.rpn_reg", "rpn.deltas"),
    (r"^roi_head\.bbox_head\.shared_fcs", "box_head.hidden"),
    (r"^roi_head\.bbox_head\.fc_cls", "box_head.logits"),
    (r"^roi_head\.bbox_head\.fc_reg", "box_head.deltas"),
    (r"^roi_head\.mask_head\.conv_logits", "mask_head.logits"),
    (r"^roi_head\.mask_head\.upsample", "mask_head.upsample"),
)
_MASK_LAYER = re.compile(r"^roi_head\.mask_head\.convs\.(\d)\.(conv|gn)\.")


def our_name(key: str, group_norm: bool) -> str:
    """The key of one of the reference's tensors in our state dict."""
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    if mask_layer := _MASK_LAYER.match(key):
        place = int(mask_layer[1]) * (3 if group_norm else 2) + (mask_layer[2] == "gn")
        key = _MASK_LAYER.sub(f"mask_head.convolutions.{place}.", key)
    return key


def params_of(name: str, **rpn_or_box: dict[str, int]) -> DetectorParams:
    """`maskrcnn` is our default recipe; `maskrcnn_gn` has GroupNorm instead."""
    norms = {"backbone": {"norm": "group"}, "mask": {"norm": "group"}}
    changes = norms if name == "maskrcnn_gn" else {}
    return DetectorParams.model_validate({**changes, **rpn_or_box})


def reference_model(folder: Path, name: str, params: DetectorParams) -> MaskRCNN:
    """Our model with the recorded weights; every key must fit."""
    spec = importlib.util.spec_from_file_location("weights_recipe", folder / "weights_recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    keys = json.loads((folder / f"A_manifest_{name}.json").read_text())["keys"]
    weights: dict[str, Tensor] = recipe.fill({key: v["shape"] for key, v in keys.items()})
    model = MaskRCNN(params)
    named = {our_name(key, name == "maskrcnn_gn"): value for key, value in weights.items()}
    model.load_state_dict(named, strict=True)
    return model


def reference_batch(folder: Path) -> Batch:
    """The synthetic image with its ten objects, (214, 310) pixels."""
    stored = np.load(folder / "B_synth_image.npz")
    masks = np.unpackbits(stored["gt_masks_packed"], axis=-1)[:, :, :310]
    return Batch(
        images=[torch.tensor(stored["rgb_u8"]).permute(2, 0, 1)],
        boxes_xyxy=[torch.tensor(stored["gt_boxes"])],
        masks=[torch.tensor(masks)],
        image_ids=[0],
    )
