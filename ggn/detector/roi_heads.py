"""The heads of the second stage: box classification and regression, masks, and their losses."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms

from ggn.detector.assign import SampledIndices, assign_by_iou, pairwise_iou, sample_candidates
from ggn.detector.coders import clip_boxes, decode_deltas, encode_deltas
from ggn.detector.params import BoxParams, DetectionParams, MaskParams
from ggn.detector.pooling import roi_align
from ggn.engine.backbone import norm_layer
from ggn.engine.processes import loss_divisor

FOREGROUND, BACKGROUND = 0, 1
"""Classes of the box head, in the order of its logits."""


_COUNT_DIVISOR = 8
"""The number of regions is padded to a multiple of this. A CPU compiles its convolutions again for
every number, which takes longer than running them, and every image has another number."""


class TrainingRegions(NamedTuple):
    """The regions of one image that the heads are trained on, the objects among them first.

    `boxes_xyxy` float32 (R, 4); `object_index` int64 (P,): the object of each of the first P.
    """

    boxes_xyxy: Tensor
    object_index: Tensor

    @property
    def positives_xyxy(self) -> Tensor:
        """Boxes that are trained as objects, float32 (P, 4)."""
        return self.boxes_xyxy[: len(self.object_index)]


class ScoredBoxes(NamedTuple):
    """Boxes float32 (N, 4) in pixels of the original image and scores (N,), best first."""

    boxes_xyxy: Tensor
    scores: Tensor


def _padded_count(pooled: Tensor) -> Tensor:
    """Append zero regions up to a multiple of `_COUNT_DIVISOR`."""
    return F.pad(pooled, (0, 0, 0, 0, 0, 0, 0, -len(pooled) % _COUNT_DIVISOR))


class BoxHead(nn.Module):
    """Two fully connected layers on pooled regions, then logits and one box per region."""

    outputs: ClassVar[int] = 2
    """Logits of a region: foreground, background."""

    def __init__(self, channels: int, params: BoxParams) -> None:
        super().__init__()
        self.params = params
        inputs = channels * params.pool_size**2
        first, second = (
            nn.Linear(inputs, params.channels),
            nn.Linear(params.channels, params.channels),
        )
        self.hidden = nn.ModuleList([first, second])
        self.logits = nn.Linear(params.channels, self.outputs)
        self.deltas = nn.Linear(params.channels, 4)
        nn.init.xavier_uniform_(first.weight)
        nn.init.xavier_uniform_(second.weight)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for layer in (first, second, self.logits, self.deltas):
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32 logits (R, `outputs`) and deltas (R, 4) of regions (R, C, P, P)."""
        count = len(pooled)
        hidden = _padded_count(pooled).flatten(1)
        for layer in self.hidden:
            hidden = F.relu(layer(hidden))
        return self.logits(hidden).float()[:count], self.deltas(hidden).float()[:count]

    def scores(self, logits: Tensor, _: Tensor) -> Tensor:
        """Return the probability (R,) of the foreground; the RPN's scores are ignored."""
        return logits.softmax(dim=1)[:, FOREGROUND]

    @torch.no_grad()
    def training_regions(
        self, proposals_xyxy: Tensor, objects_xyxy: Tensor, generator: torch.Generator
    ) -> TrainingRegions:
        """Draw the regions of one image to train on; the objects' own boxes are candidates."""
        assigned, candidates = self._assign(proposals_xyxy, objects_xyxy)
        sample: SampledIndices = sample_candidates(
            assigned, self.params.samples, self.params.positive_fraction, generator
        )
        return TrainingRegions(candidates[torch.cat(list(sample))], assigned[sample.positive] - 1)

    def _assign(self, proposals_xyxy: Tensor, objects_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        iou = pairwise_iou(objects_xyxy, proposals_xyxy)
        threshold = self.params.positive_iou
        itself = torch.arange(1, len(objects_xyxy) + 1, device=iou.device)
        assigned = torch.cat([itself, assign_by_iou(iou, threshold, threshold)])
        return assigned, torch.cat([objects_xyxy, proposals_xyxy])

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        regions: Sequence[TrainingRegions],
        objects_xyxy: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return the cross-entropy of the classes and the L1 loss of boxes, both per region.

        Args:
            logits: (R, 2), the regions of the first image first.
            deltas: (R, 4).
            regions: regions of each image.
            objects_xyxy: boxes of the objects of each image.
        """
        labels = torch.full((len(logits),), BACKGROUND, device=logits.device)
        for label, region in zip(_by_image(labels, regions), regions, strict=True):
            label[: len(region.object_index)] = FOREGROUND
        loss = F.cross_entropy(logits, labels, reduction="sum")
        return {
            "box_class": loss / loss_divisor(len(logits), logits.device),
            "box_regression": self.regression_loss(deltas, regions, objects_xyxy),
        }

    def regression_loss(
        self,
        deltas: Tensor,
        regions: Sequence[TrainingRegions],
        objects_xyxy: Sequence[Tensor],
    ) -> Tensor:
        """Return the L1 loss of the objects' deltas, per region; arguments as in `losses`."""
        boxes = torch.cat([region.positives_xyxy for region in regions])
        matched = matched_objects(regions, objects_xyxy)
        targets = encode_deltas(boxes, matched, self.params.delta_stds)
        divisor = loss_divisor(len(deltas), deltas.device)
        return (positive_rows(deltas, regions) - targets).abs().sum() / divisor


def _by_image(rows: Tensor, regions: Sequence[TrainingRegions]) -> tuple[Tensor, ...]:
    return torch.split(rows, [len(region.boxes_xyxy) for region in regions])


def positive_rows(rows: Tensor, regions: Sequence[TrainingRegions]) -> Tensor:
    """Return the rows of objects from a tensor with one row per region of all images."""
    parts = zip(_by_image(rows, regions), regions, strict=True)
    return torch.cat([part[: len(region.object_index)] for part, region in parts])


def matched_objects(regions: Sequence[TrainingRegions], objects_xyxy: Sequence[Tensor]) -> Tensor:
    """Return the object's box for each region trained as an object: float32 (P, 4)."""
    pairs = zip(regions, objects_xyxy, strict=True)
    return torch.cat([objects[region.object_index] for region, objects in pairs])


def select_detections(
    proposals_xyxy: Tensor,
    scores: Tensor,
    deltas: Tensor,
    *,
    size_hw: tuple[int, int],
    scale_wh: tuple[float, float],
    delta_stds: Sequence[float],
    params: DetectionParams,
) -> ScoredBoxes:
    """Turn the box head's output for one image into at most `max_detections` detections.

    Boxes are clipped to the network's image, scaled to original pixels, and suppressed there (NMS).
    Scores must exceed 0.

    Args:
        proposals_xyxy: float32 (N, 4), in pixels of the network's input.
        scores: (N,).
        deltas: (N, 4).
        size_hw: size of the network's image without padding.
        scale_wh: network pixels per original pixel, along x and y.
        delta_stds: see `BoxParams`.
        params: the limits.
    """
    boxes = decode_deltas(proposals_xyxy, deltas, delta_stds)
    boxes = clip_boxes(boxes, torch.tensor(size_hw, device=boxes.device))
    boxes = boxes / boxes.new_tensor([*scale_wh, *scale_wh])
    boxes, scores = boxes[scores > 0], scores[scores > 0]
    kept = nms(boxes, scores, params.nms_iou)[: params.max_detections]
    return ScoredBoxes(boxes[kept], scores[kept])


class MaskHead(nn.Module):
    """Convolutions on pooled regions, one upsampling by two, one logit per cell."""

    def __init__(self, channels: int, params: MaskParams) -> None:
        super().__init__()
        self.params = params
        layers: list[nn.Module] = []
        for _ in range(params.convolutions):
            convolution = nn.Conv2d(
                channels, params.channels, 3, padding=1, bias=params.norm == "none"
            )
            _initialise(convolution)
            layers.append(convolution)
            if params.norm == "group":
                layers.append(norm_layer("group")(params.channels))
            layers.append(nn.ReLU(inplace=True))
            channels = params.channels
        self.convolutions = nn.Sequential(*layers)
        self.upsample = nn.ConvTranspose2d(channels, params.channels, 2, stride=2)
        self.logits = nn.Conv2d(params.channels, 1, 1)
        _initialise(self.upsample)
        _initialise(self.logits)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return float32 logits (R, 2P, 2P) of pooled regions (R, C, P, P)."""
        hidden = F.relu_(self.upsample(self.convolutions(_padded_count(pooled))))
        logits: Tensor = self.logits(hidden).squeeze(1).float()
        return logits[: len(pooled)]

    def losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the binary cross-entropy per cell, 0 without regions; both are (R, 2P, 2P)."""
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return {"mask": loss / loss_divisor(targets.numel(), logits.device)}


def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def mask_targets(masks: Tensor, boxes_xyxy: Tensor, object_index: Tensor, size: int) -> Tensor:
    """Crop the objects' masks to the boxes that they are trained with.

    This is RoIAlign of the 0/1 bitmap; cells of at least one half are 1 (the reference's targets).

    Args:
        masks: uint8 (N, H, W), the objects of one image, padded like the network's input: beyond
            the image is background, which matters for boxes at its border.
        boxes_xyxy: float32 (P, 4).
        object_index: int64 (P,), into `masks`.
        size: cells per side.

    Returns:
        float32 (P, size, size) of 0 and 1.
    """
    if len(object_index) == 0:
        return boxes_xyxy.new_zeros((0, size, size))
    used, position = torch.unique(object_index, return_inverse=True)
    rois = torch.cat([position[:, None].to(boxes_xyxy.dtype), boxes_xyxy], dim=1)
    bitmaps = masks[used, None].to(boxes_xyxy.dtype)
    targets = roi_align(bitmaps, rois, size, scale=1.0, sampling_ratio=0)
    return (targets >= 0.5).squeeze(1).to(boxes_xyxy.dtype)
