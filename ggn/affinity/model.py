"""The affinity network: a ResNet and a head with one output channel.

The head is UPerNet's (Xiao et al., ECCV 2018) or a feature pyramid (Lin et al., CVPR 2017).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ggn.affinity.params import AffinityParams
from ggn.engine.backbone import Norm, build_backbone, norm_layer

POOL_BINS = (1, 2, 3, 6)


def _conv_norm_relu(inputs: int, outputs: int, kernel: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        norm_layer(norm)(outputs),
        nn.ReLU(inplace=True),
    )


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _initialise(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.normal_(head.get_parameter("logits.weight"), std=0.01)


def _fuse(fusion: nn.Module, levels: list[Tensor]) -> Tensor:
    finest = levels[0]
    fused: Tensor = fusion(torch.cat([finest, *(_resize(x, finest) for x in levels[1:])], dim=1))
    return fused


def _logits(layer: nn.Module, fused: Tensor) -> Tensor:
    # Half precision would give plateaus of equal logits, but their maxima seed the grouping.
    with torch.autocast(fused.device.type, enabled=False):
        logits: Tensor = layer(fused.float())
    return logits


class UPerHead(nn.Module):
    """Pyramid pooling, feature pyramid and fusion: [C2, C3, C4, C5] to logits at stride 4."""

    def __init__(
        self,
        channels: tuple[int, ...],
        pool_channels: int,
        head_channels: int,
        pool_norm: Norm,
        norm: Norm,
    ) -> None:
        super().__init__()
        *finer, coarsest = channels
        width = head_channels
        self.pooled = nn.ModuleList(
            _conv_norm_relu(coarsest, pool_channels, 1, pool_norm) for _ in POOL_BINS
        )
        pooled_channels = coarsest + len(POOL_BINS) * pool_channels
        self.pool_fusion = _conv_norm_relu(pooled_channels, width, 3, norm)
        self.lateral = nn.ModuleList(_conv_norm_relu(c, width, 1, norm) for c in finer)
        self.smooth = nn.ModuleList(_conv_norm_relu(width, width, 3, norm) for _ in finer)
        self.fusion = _conv_norm_relu(len(channels) * width, width, 3, norm)
        self.logits = nn.Conv2d(width, 1, 1)
        _initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return float32 logits (B, 1, H/4, W/4)."""
        levels = [self._pool(features[-1])]
        for index in reversed(range(len(self.lateral))):
            lateral = self.lateral[index](features[index])
            levels.insert(0, lateral + _resize(levels[0], lateral))
        levels = [smooth(x) for smooth, x in zip(self.smooth, levels, strict=False)] + levels[-1:]
        return _logits(self.logits, _fuse(self.fusion, levels))

    def _pool(self, c5: Tensor) -> Tensor:
        branches = [
            conv(_resize(F.adaptive_avg_pool2d(c5, bins), c5))
            for bins, conv in zip(POOL_BINS, self.pooled, strict=True)
        ]
        pooled: Tensor = self.pool_fusion(torch.cat([c5, *branches], dim=1))
        return pooled


class FPNHead(nn.Module):
    """Feature pyramid and fusion: [C2, C3, C4] to logits at stride 4."""

    def __init__(self, channels: tuple[int, ...], head_channels: int, norm: Norm) -> None:
        super().__init__()
        width = head_channels
        self.lateral = nn.ModuleList(_conv_norm_relu(c, width, 1, norm) for c in channels)
        self.smooth = nn.ModuleList(_conv_norm_relu(width, width, 3, norm) for _ in channels)
        self.fusion = _conv_norm_relu(len(channels) * width, width, 3, norm)
        self.logits = nn.Conv2d(width, 1, 1)
        _initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return float32 logits (B, 1, H/4, W/4)."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        for index in reversed(range(len(levels) - 1)):
            levels[index] = levels[index] + _resize(levels[index + 1], levels[index])
        levels = [smooth(x) for smooth, x in zip(self.smooth, levels, strict=True)]
        return _logits(self.logits, _fuse(self.fusion, levels))


class AffinityNet(nn.Module):
    """Maps normalised images to affinity logits of the same size."""

    def __init__(self, params: AffinityParams) -> None:
        super().__init__()
        self.image_scale = params.image_scale
        self.backbone = build_backbone(params.backbone, stages=3 if params.head == "fpn" else 4)
        self.head = _build_head(params, self.backbone.channels)

    def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
        """Return float32 logits (B, 1, H, W) of normalised images (B, 3, H, W) of any size.

        The images are first enlarged by `scale` times `image_scale`.
        """
        enlarged, scale = images, scale * self.image_scale
        if scale != 1:
            size = [max(1, round(side * scale)) for side in images.shape[2:]]
            enlarged = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return _resize(self.head(self.backbone(enlarged)), images)


def _build_head(params: AffinityParams, channels: tuple[int, ...]) -> nn.Module:
    if params.head == "fpn":
        return FPNHead(channels, params.head_channels, params.head_norm)
    return UPerHead(
        channels, params.pool_channels, params.head_channels, params.pool_norm, params.head_norm
    )
