"""The affinity network: UPerNet (Xiao et al., ECCV 2018) on a ResNet, one output channel."""

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
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.logits.weight, std=0.01)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return float32 logits (B, 1, H/4, W/4)."""
        levels = [self._pool(features[-1])]
        for index in reversed(range(len(self.lateral))):
            lateral = self.lateral[index](features[index])
            levels.insert(0, lateral + _resize(levels[0], lateral))
        levels = [smooth(x) for smooth, x in zip(self.smooth, levels, strict=False)] + levels[-1:]
        fused = self.fusion(
            torch.cat([levels[0], *(_resize(x, levels[0]) for x in levels[1:])], dim=1)
        )
        # Half precision would leave plateaus of equal logits, whose maxima seed the grouping.
        with torch.autocast(fused.device.type, enabled=False):
            logits: Tensor = self.logits(fused.float())
        return logits

    def _pool(self, c5: Tensor) -> Tensor:
        branches = [
            conv(_resize(F.adaptive_avg_pool2d(c5, bins), c5))
            for bins, conv in zip(POOL_BINS, self.pooled, strict=True)
        ]
        pooled: Tensor = self.pool_fusion(torch.cat([c5, *branches], dim=1))
        return pooled


class AffinityNet(nn.Module):
    """Normalised images in, affinity logits at the images' size out."""

    def __init__(self, params: AffinityParams) -> None:
        super().__init__()
        self.image_scale = params.image_scale
        self.backbone = build_backbone(params.backbone)
        self.head = UPerHead(
            self.backbone.channels,
            params.pool_channels,
            params.head_channels,
            params.pool_norm,
            params.head_norm,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits (B, 1, H, W) of normalised images (B, 3, H, W) of any size."""
        enlarged = images
        if self.image_scale != 1:
            size = [max(1, round(side * self.image_scale)) for side in images.shape[2:]]
            enlarged = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return _resize(self.head(self.backbone(enlarged)), images)
