"""The region proposal network: its head, its proposals and its losses."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms

from ggn.detector.anchors import inside_padded_image, padded_size, pyramid_anchors
from ggn.detector.assign import IGNORED, assign_by_iou, pairwise_iou, sample_candidates
from ggn.detector.coders import clip_boxes, decode_deltas, encode_deltas
from ggn.detector.params import RPNParams
from ggn.engine.processes import loss_divisor

_STDS = (1.0, 1.0, 1.0, 1.0)


class RPNOutput(NamedTuple):
    """The head's output for every anchor of a batch, in float32, finest level first.

    `logits` (B, A) objectness, `deltas` (B, A, 4), `anchors` (A, 4) xyxy, `sizes_hw` the grid of
    each level.
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    sizes_hw: list[tuple[int, int]]

    @property
    def anchors_per_level(self) -> list[int]:
        """Number of anchors of each level."""
        return [height * width for height, width in self.sizes_hw]


class Proposals(NamedTuple):
    """Boxes float32 (N, 4) of one image, in pixels of the network's input, and scores (N,)."""

    boxes_xyxy: Tensor
    scores: Tensor


def _flat(maps: Sequence[Tensor], values: int) -> Tensor:
    """Flatten (B, values, H, W) of each level to float32 (B, A, values)."""
    flat = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, values) for m in maps]
    return torch.cat(flat, dim=1).float()


class RPN(nn.Module):
    """One 3×3 convolution, then objectness and box deltas of one anchor per location."""

    def __init__(self, channels: int, params: RPNParams) -> None:
        super().__init__()
        self.params = params
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, 1, 1)
        self.deltas = nn.Conv2d(channels, 4, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.get_parameter("bias"), 0)

    def forward(self, features: Sequence[Tensor]) -> RPNOutput:
        """Score the anchors of P2 … P6, each (B, C, H, W)."""
        hidden = [self.hidden(feature) for feature in features]
        sizes = [(int(f.shape[-2]), int(f.shape[-1])) for f in features]
        return RPNOutput(
            logits=_flat([self.objectness(h) for h in hidden], 1).squeeze(-1),
            deltas=_flat([self.deltas(h) for h in hidden], 4),
            anchors=pyramid_anchors(sizes, self.params.anchor_scale).to(hidden[0].device),
            sizes_hw=sizes,
        )

    def hidden(self, feature: Tensor) -> Tensor:
        """Return the features for a level's logits and deltas."""
        return F.relu(self.conv(feature))

    def decode(self, anchors_xyxy: Tensor, deltas: Tensor) -> Tensor:
        """Return boxes float32 (..., 4) from anchors and deltas, not clipped."""
        return decode_deltas(anchors_xyxy, deltas, _STDS)

    @torch.no_grad()
    def propose(self, output: RPNOutput, sizes_hw: Tensor) -> list[Proposals]:
        """Return the best boxes of each image, best first, clipped to the image.

        The best `candidates_per_level` of each level are decoded, and NMS is applied within each
        level. Boxes without area stay, as in the reference.

        Args:
            output: of `forward`.
            sizes_hw: (B, 2), size of each image without its padding.
        """
        scores, boxes, levels = self.candidates(output, sizes_hw)
        proposals = []
        for image_scores, image_boxes in zip(scores, boxes, strict=True):
            kept = batched_nms(image_boxes, image_scores, levels, self.params.nms_iou)
            kept = kept[: self.params.proposals]
            proposals.append(Proposals(image_boxes[kept], image_scores[kept]))
        return proposals

    def candidates(self, output: RPNOutput, sizes_hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode and clip the best anchors of each level, best first within their level.

        Returns:
            Scores (B, N) in (0, 1), boxes (B, N, 4), levels int64 (N,).
        """
        scores, indices, levels, first = [], [], [], 0
        for level, count in enumerate(output.anchors_per_level):
            logits = output.logits[:, first : first + count]
            best = logits.sigmoid().topk(min(self.params.candidates_per_level, count), dim=1)
            scores.append(best.values)
            indices.append(best.indices + first)
            levels.append(torch.full_like(best.indices[0], level))
            first += count
        index = torch.cat(indices, dim=1)
        deltas = output.deltas.gather(1, index[..., None].expand(-1, -1, 4))
        boxes = clip_boxes(self.decode(output.anchors[index], deltas), sizes_hw)
        return torch.cat(scores, dim=1), boxes, torch.cat(levels)

    def losses(
        self,
        output: RPNOutput,
        objects_xyxy: Sequence[Tensor],
        sizes_hw: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return objectness (cross-entropy) and box (L1) losses, both per sampled anchor.

        Args:
            output: of `forward`.
            objects_xyxy: the objects of each image, float32 (N_i, 4), N_i may be 0.
            sizes_hw: each image's size without its padding; anchors beyond the padded image, in the
                frame of the batch, are not trained.
            generator: draws the samples.
        """
        logits, targets, deltas, delta_targets = [], [], [], []
        sampled = 0
        for i, objects in enumerate(objects_xyxy):
            assigned = self.assign(output, objects, sizes_hw[i])
            sample = sample_candidates(
                assigned, self.params.samples, self.params.positive_fraction, generator
            )
            chosen = torch.cat(list(sample))
            logits.append(output.logits[i, chosen])
            targets.append((assigned[chosen] > 0).float())
            deltas.append(output.deltas[i, sample.positive])
            matched = objects[assigned[sample.positive] - 1]
            anchors = output.anchors[sample.positive]
            delta_targets.append(encode_deltas(anchors, matched, _STDS))
            # The reference counts at least one of each kind per image.
            sampled += sum(max(len(indices), 1) for indices in sample)
        objectness = F.binary_cross_entropy_with_logits(
            torch.cat(logits), torch.cat(targets), reduction="sum"
        )
        box = (torch.cat(deltas) - torch.cat(delta_targets)).abs().sum()
        divisor = loss_divisor(sampled, output.logits.device)
        return {"rpn_objectness": objectness / divisor, "rpn_box": box / divisor}

    def assign(self, output: RPNOutput, objects_xyxy: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Assign the anchors of one image: int64 (A,), -1 also for those beyond the image."""
        assigned = assign_by_iou(
            pairwise_iou(objects_xyxy, output.anchors),
            self.params.positive_iou,
            self.params.negative_iou,
            self.params.low_quality_iou,
        )
        inside = inside_padded_image(output.sizes_hw, padded_size(size_hw), assigned.device)
        return assigned.masked_fill(~inside, IGNORED)
