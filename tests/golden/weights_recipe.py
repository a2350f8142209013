"""Weights made from the names of the tensors alone, so that they are the same everywhere.

Input: shape by key (A_manifest_*.json). The generator of each tensor is seeded with the CRC of its
key; float32 on the CPU.
"""

import math
import zlib

import torch

SCALES = (  # (suffix, factor) applied on top of the base rule, first match wins
    ("bn3.weight", 0.2),
    ("gn3.weight", 0.2),  # last norm of every residual block
    ("rpn_head.rpn_reg.weight", 0.03),  # RPN deltas stay moderate
    ("rpn_head.rpn_cls.weight", 0.3),
    ("rpn_head.rpn_obj.weight", 4.0),  # OLN (input is L2-normalised over channels)
    ("bbox_head.fc_cls.weight", 0.15),
    ("bbox_head.fc_reg.weight", 0.15),
    ("bbox_head.fc_bbox_score.weight", 0.15),
    ("mask_head.conv_logits.weight", 0.3),
)
SCALES_OLN = (("rpn_head.rpn_reg.weight", 2.0),)
BIAS_OLN = {"rpn_head.rpn_reg.bias": 0.5}


def tensor_for(key, shape, oln=False):
    shape = tuple(shape)
    g = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_mean"):
        return 0.1 * torch.randn(shape, generator=g)
    if key.endswith("running_var"):
        return 1 + 0.1 * torch.rand(shape, generator=g)
    if key.endswith(".bias"):
        t = 0.1 * torch.randn(shape, generator=g)
        if oln:
            t = t + BIAS_OLN.get(key, 0.0)
        return t
    assert key.endswith(".weight"), key
    if len(shape) == 1:
        t = 1 + 0.1 * torch.randn(shape, generator=g)
    else:
        fan_in = math.prod(shape[1:])
        t = torch.randn(shape, generator=g) * math.sqrt(2.0 / fan_in)
    for suffix, f in (SCALES_OLN if oln else ()) + SCALES:
        if key.endswith(suffix):
            return t * f
    return t


def fill(shapes):
    """shapes: dict key -> shape (or tensor). Returns dict key -> tensor."""
    shp = {k: (tuple(v.shape) if hasattr(v, "shape") else tuple(v)) for k, v in shapes.items()}
    oln = any(k.endswith("rpn_head.rpn_obj.weight") for k in shp)
    return {k: tensor_for(k, s, oln) for k, s in shp.items()}
