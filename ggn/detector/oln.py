"""The heads of OLN: they locate objects and rate how well a box fits, but never classify."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ggn.detector.anchors import inside_image
from ggn.detector.assign import aligned_iou, assign_usable, pairwise_iou, sample_candidates
from ggn.detector.coders import decode_sides
from ggn.detector.params import OlnParams, RPNParams
from ggn.detector.roi_heads import BoxHead, TrainingRegions, matched_objects, positive_rows
from ggn.detector.rpn import RPN, Proposals, RPNOutput
from ggn.engine.processes import loss_divisor


class AnchorTargets(NamedTuple):
    """The training targets of one image's anchors.

    `box_index` int64 (P,): anchors whose distances are trained, on the objects `boxes_xyxy`
    float32 (P, 4); `centerness_index` int64 (S,): anchors whose logit is trained, on `centerness`
    float32 (S,) in [0, 1]; `sampled`: the number that the losses are divided by.
    """

    box_index: Tensor
    boxes_xyxy: Tensor
    centerness_index: Tensor
    centerness: Tensor
    sampled: int


def centerness(boxes_xyxy: Tensor, objects_xyxy: Tensor) -> Tensor:
    """Return how central each box's centre is in the object of the same row (FCOS, equation 3).

    It is 1 in the middle, and 0 on the object's outline and beyond.

    Returns:
        float32 (N,).
    """
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    before, behind = centre - objects_xyxy[:, :2], objects_xyxy[:, 2:] - centre
    nearer, farther = torch.minimum(before, behind), torch.maximum(before, behind)
    inside = (nearer > 0).all(dim=1)
    return torch.where(inside, (nearer / farther).prod(dim=1), 0.0).sqrt()


class OlnRPN(RPN):
    """Proposals rated by centerness (Kim et al., 2022, section 3).

    The logit of an anchor is that of its centerness; its deltas are the distances from its centre
    to the object's top, bottom, left and right (`decode_sides`). Their features have unit length.
    """

    def __init__(self, channels: int, params: RPNParams, oln: OlnParams) -> None:
        super().__init__(channels, params)
        self.oln = oln
        # Boxes start as their anchors: the IoU of a box without area has no gradient.
        nn.init.constant_(self.deltas.get_parameter("bias"), 0.5)

    def hidden(self, feature: Tensor) -> Tensor:
        """Return the features for a level's logits and deltas: (B, C, H, W), unit vectors."""
        return F.normalize(super().hidden(feature), dim=1)

    def decode(self, anchors_xyxy: Tensor, deltas: Tensor) -> Tensor:
        """Return boxes float32 (..., 4) at these distances from the anchors; may be inverted."""
        return decode_sides(anchors_xyxy, deltas)

    @torch.no_grad()
    def propose(self, output: RPNOutput, sizes_hw: Tensor) -> list[Proposals]:
        """Return the best `candidates_per_level` boxes of every level, clipped to the image.

        As in the reference, there is neither NMS nor a limit over all levels, and inverted boxes
        are kept; `pool_regions` gives them zero features.

        Args:
            output: of `forward`.
            sizes_hw: (B, 2), size of each image without its padding.
        """
        scores, boxes, _ = self.candidates(output, sizes_hw)
        return [Proposals(*image) for image in zip(boxes, scores, strict=True)]

    def losses(
        self,
        output: RPNOutput,
        objects_xyxy: Sequence[Tensor],
        sizes_hw: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return centerness (L1) and box (IoU) losses; arguments as in `RPN.losses`.

        Both are divided by the number of anchors sampled for the boxes, as in the reference.
        """
        targets = [
            self.targets(output.anchors, objects, size_hw, generator)
            for objects, size_hw in zip(objects_xyxy, sizes_hw, strict=True)
        ]
        predicted = [
            output.logits[i, target.centerness_index].sigmoid() for i, target in enumerate(targets)
        ]
        boxes = [
            self.decode(output.anchors[target.box_index], output.deltas[i, target.box_index])
            for i, target in enumerate(targets)
        ]
        wrong = torch.cat(predicted) - torch.cat([target.centerness for target in targets])
        iou = aligned_iou(torch.cat(boxes), torch.cat([target.boxes_xyxy for target in targets]))
        sampled = sum(target.sampled for target in targets)
        divisor = loss_divisor(sampled, output.logits.device)
        return {
            "rpn_centerness": wrong.abs().sum() / divisor,
            "rpn_box": self.oln.box_weight * (1 - iou).sum() / divisor,
        }

    @torch.no_grad()
    def targets(
        self,
        anchors: Tensor,
        objects_xyxy: Tensor,
        size_hw: tuple[int, int],
        generator: torch.Generator,
    ) -> AnchorTargets:
        """Draw the anchors of one image to train on; only those wholly on the image are used.

        Boxes and centerness have separate assignments and samples. In both, negatives fill the
        places that positives leave free; those of the boxes only count in `sampled`.
        """
        iou, inside = pairwise_iou(objects_xyxy, anchors), inside_image(anchors, size_hw)
        rpn, oln = self.params, self.oln
        assigned = assign_usable(
            iou, inside, rpn.positive_iou, rpn.negative_iou, rpn.low_quality_iou
        )
        sample = sample_candidates(assigned, rpn.samples, rpn.positive_fraction, generator)
        matched = objects_xyxy[assigned[sample.positive] - 1]
        # The reference trains no box on an object that touches the image's left or upper side.
        valid = (matched > 0).all(dim=1)

        central = assign_usable(
            iou,
            inside,
            oln.centerness_positive_iou,
            oln.centerness_negative_iou,
            rpn.low_quality_iou,
        )
        drawn = sample_candidates(central, rpn.samples, 1.0, generator)
        rated = centerness(anchors[drawn.positive], objects_xyxy[central[drawn.positive] - 1])
        return AnchorTargets(
            box_index=sample.positive[valid],
            boxes_xyxy=matched[valid],
            centerness_index=torch.cat(list(drawn)),
            centerness=torch.cat([rated, rated.new_zeros(len(drawn.negative))]),
            sampled=sum(max(len(indices), 1) for indices in sample),
        )


class OlnBoxHead(BoxHead):
    """A box head whose only logit is that of a region's IoU with its object."""

    outputs: ClassVar[int] = 1

    def scores(self, logits: Tensor, proposal_scores: Tensor) -> Tensor:
        """Return the geometric mean of a region's IoU and its proposal's centerness, (R,)."""
        return (logits.squeeze(1).sigmoid() * proposal_scores).sqrt()

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        regions: Sequence[TrainingRegions],
        objects_xyxy: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return the L1 losses of the objects' IoU and boxes, per region; background is ignored.

        Arguments as in `BoxHead.losses`, except for logits (R, 1).
        """
        boxes = torch.cat([region.positives_xyxy for region in regions])
        iou = aligned_iou(boxes, matched_objects(regions, objects_xyxy))
        wrong = positive_rows(logits, regions).squeeze(1).sigmoid() - iou
        return {
            "box_iou": wrong.abs().sum() / loss_divisor(len(logits), logits.device),
            "box_regression": self.regression_loss(deltas, regions, objects_xyxy),
        }
