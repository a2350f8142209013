"""The class-agnostic detector: backbone, pyramid, proposals and heads together."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from ggn.detector.anchors import padded_size
from ggn.detector.assign import pairwise_iou
from ggn.detector.oln import OlnBoxHead, OlnRPN
from ggn.detector.params import DetectorParams
from ggn.detector.pooling import pool_regions
from ggn.detector.roi_heads import BoxHead, MaskHead, ScoredBoxes, mask_targets, select_detections
from ggn.detector.rpn import RPN, Proposals
from ggn.engine.backbone import build_backbone, normalise

_MASKS_AT_ONCE = 128
"""Detections whose masks are predicted together: 1500 at once would take gigabytes."""


class Batch(NamedTuple):
    """Images of one training step with their objects.

    `images` uint8 (3, H_i, W_i) RGB; `boxes_xyxy` float32 (N_i, 4); `masks` uint8 (N_i, H_i, W_i);
    `image_ids` as the dataset names them. Sizes differ between images, N_i may be 0.
    """

    images: list[Tensor]
    boxes_xyxy: list[Tensor]
    masks: list[Tensor]
    image_ids: list[int]


def _size_hw(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


class MaskRCNN(nn.Module):
    """Class-agnostic Mask R-CNN with a feature pyramid (GGN, section 4, detector training).

    With `heads: oln` proposals and boxes are those of OLN; with `mask: null` there is no mask head.
    """

    rpn: RPN
    box_head: BoxHead
    mask_head: MaskHead | None

    def __init__(self, params: DetectorParams) -> None:
        super().__init__()
        self.params = params
        self.backbone = build_backbone(params.backbone)
        self.pyramid = FeaturePyramidNetwork(
            list(self.backbone.channels), params.fpn_channels, LastLevelMaxPool()
        )
        channels = params.fpn_channels
        if params.heads == "oln":
            self.rpn = OlnRPN(channels, params.rpn, params.oln)
            self.box_head = OlnBoxHead(channels, params.box)
        else:
            self.rpn = RPN(channels, params.rpn)
            self.box_head = BoxHead(channels, params.box)
        self.mask_head = MaskHead(channels, params.mask) if params.mask else None

    @staticmethod
    def prepare_images(images: Sequence[Tensor]) -> Tensor:
        """Normalise images uint8 (3, H_i, W_i) and pad them to one frame: float32 (B, 3, H, W)."""
        sizes = [padded_size(_size_hw(image)) for image in images]
        frame = max(h for h, _ in sizes), max(w for _, w in sizes)
        inputs = torch.zeros((len(images), 3, *frame), device=images[0].device)
        for row, image in zip(inputs, images, strict=True):
            height, width = _size_hw(image)
            row[:, :height, :width] = normalise(image[None])[0]
        return inputs.contiguous(memory_format=torch.channels_last)

    def features(self, inputs: Tensor) -> list[Tensor]:
        """Return P2 … P6, each (B, channels, H / stride, W / stride), from `prepare_images`."""
        stages = self.backbone(inputs)
        named = OrderedDict((str(i), stage) for i, stage in enumerate(stages))
        return list(self.pyramid(named).values())

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of one training step by name, float32 scalars; their sum is minimised.

        Args:
            batch: on the model's device.
            generator: on the same device; samples anchors and regions.
        """
        features = self.features(self.prepare_images(batch.images))
        output = self.rpn(features)
        sizes = [_size_hw(image) for image in batch.images]
        losses = self.rpn.losses(output, batch.boxes_xyxy, sizes, generator)
        proposals = self.rpn.propose(output, torch.tensor(sizes, device=features[0].device))
        return losses | self._second_stage_losses(features, proposals, batch, generator)

    def _second_stage_losses(
        self,
        features: list[Tensor],
        proposals: list[Proposals],
        batch: Batch,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        objects = batch.boxes_xyxy
        regions = [
            self.box_head.training_regions(image.boxes_xyxy, own, generator)
            for image, own in zip(proposals, objects, strict=True)
        ]
        pooled = self._pool(features, [r.boxes_xyxy for r in regions], self.params.box.pool_size)
        logits, deltas = self.box_head(pooled)
        losses = self.box_head.losses(logits, deltas, regions, objects)
        if self.mask_head is None:
            return losses
        side = self.mask_head.params.pool_size
        pooled = self._pool(features, [r.positives_xyxy for r in regions], side)
        targets = [
            mask_targets(_padded_masks(masks), r.positives_xyxy, r.object_index, 2 * side)
            for masks, r in zip(batch.masks, regions, strict=True)
        ]
        return losses | self.mask_head.losses(self.mask_head(pooled), torch.cat(targets))

    def _pool(self, features: list[Tensor], boxes: Sequence[Tensor], size: int) -> Tensor:
        return pool_regions(
            features,
            boxes,
            size,
            level_scale=self.params.roi_level_scale,
            sampling_ratio=self.params.roi_sampling_ratio,
        )

    @torch.no_grad()
    def detect(
        self, image: Tensor, original_hw: tuple[int, int]
    ) -> tuple[ScoredBoxes, Tensor | None]:
        """Find the objects of one image.

        Args:
            image: uint8 (3, H, W) RGB, already resized for the network.
            original_hw: size that boxes are reported in.

        Returns:
            Detections in original pixels and, with a mask head, their mask probabilities, float32
            (N, S, S).
        """
        return self.detect_each([image], [original_hw])[0]

    @torch.no_grad()
    def detect_each(
        self, images: Sequence[Tensor], original_hw: Sequence[tuple[int, int]]
    ) -> list[tuple[ScoredBoxes, Tensor | None]]:
        """Return the result of `detect` for each image; features are computed for all together."""
        features = self.features(self.prepare_images(images))
        found: list[tuple[ScoredBoxes, Tensor | None]] = []
        for index, (image, size_hw) in enumerate(zip(images, original_hw, strict=True)):
            own = [level[index : index + 1] for level in features]
            boxes = self.find_boxes(own, _size_hw(image), size_hw)
            scale = boxes.boxes_xyxy.new_tensor([*_scale_wh(_size_hw(image), size_hw)] * 2)
            scaled = boxes.boxes_xyxy * scale
            masks = self.mask_probabilities(own, scaled) if self.mask_head else None
            found.append((boxes, masks))
        return found

    def find_boxes(
        self, features: list[Tensor], size_hw: tuple[int, int], original_hw: tuple[int, int]
    ) -> ScoredBoxes:
        """Return the detections, in original pixels, of an image of `size_hw` network pixels."""
        sizes = torch.tensor([size_hw], device=features[0].device)
        ((boxes, scores),) = self.rpn.propose(self.rpn(features), sizes)
        logits, deltas = self.box_head(self._pool(features, [boxes], self.params.box.pool_size))
        return select_detections(
            boxes,
            self.box_head.scores(logits, scores),
            deltas,
            size_hw=size_hw,
            scale_wh=_scale_wh(size_hw, original_hw),
            delta_stds=self.params.box.delta_stds,
            params=self.params.detection,
        )

    @torch.no_grad()
    def rate_boxes(
        self, image: Tensor, boxes_xyxy: Tensor, original_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Rate boxes that are given, with the OLN heads (see `Detector.rate_boxes`).

        Args:
            image: uint8 (3, H, W) RGB, already resized for the network.
            boxes_xyxy: float32 (N, 4), in original pixels.
            original_hw: size that the boxes are given in.

        Returns:
            float32 (N,) each: the square root of a box's IoU, its centerness.
        """
        if self.params.heads != "oln":
            raise ValueError(f"only heads 'oln' can rate boxes, got {self.params.heads!r}")
        features = self.features(self.prepare_images([image]))
        output = self.rpn(features)
        boxes = boxes_xyxy * boxes_xyxy.new_tensor([*_scale_wh(_size_hw(image), original_hw)] * 2)
        logits, _ = self.box_head(self._pool(features, [boxes], self.params.box.pool_size))
        anchor = pairwise_iou(boxes, output.anchors).argmax(dim=1)
        return logits.squeeze(1).sigmoid().sqrt(), output.logits[0, anchor].sigmoid()

    def mask_probabilities(self, features: list[Tensor], boxes_xyxy: Tensor) -> Tensor:
        """Return mask probabilities float32 (N, S, S) of one image's boxes, in network pixels."""
        if self.mask_head is None:
            raise ValueError("a detector with mask: null has no mask probabilities")
        size = self.mask_head.params.pool_size
        chunks = torch.split(boxes_xyxy, _MASKS_AT_ONCE)
        logits = [self.mask_head(self._pool(features, [boxes], size)) for boxes in chunks]
        return torch.cat(logits).sigmoid()


def _scale_wh(size_hw: tuple[int, int], original_hw: tuple[int, int]) -> tuple[float, float]:
    """Return the network pixels per original pixel, along x and y."""
    return size_hw[1] / original_hw[1], size_hw[0] / original_hw[0]


def _padded_masks(masks: Tensor) -> Tensor:
    height, width = _size_hw(masks)
    padded_height, padded_width = padded_size((height, width))
    return nn.functional.pad(masks, (0, padded_width - width, 0, padded_height - height))
