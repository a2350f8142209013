"""Params of the evaluation: the protocol, and boxes, masks or both."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

ProtocolName = Literal["budget", "federated", "per_class", "plain"]
IouType = Literal["bbox", "segm"]

PROTOCOL_NAMES: tuple[str, ...] = get_args(ProtocolName)
IOU_TYPES: tuple[str, ...] = get_args(IouType)
RECIPES = ("baseline", "ggn")
"""The recipes by which a detector is trained, and which are compared: keys of the stages."""


class EvaluationParams(BaseModel):
    """How predictions are compared with annotations; the defaults are those of GGN's tables."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    protocol: ProtocolName = "budget"
    """What a detection of a seen object costs: see `ggn.evaluation.protocols`."""

    iou_types: list[IouType] = Field(["bbox", "segm"], min_length=1, max_length=2)
    """Overlap of boxes (metrics `box_…`), of masks (`mask_…`), or both."""

    affinity_partition: Literal["seen", "unseen", "all"] = "unseen"
    """The annotations that the affinity map and its segments are compared with."""

    @field_validator("iou_types")
    @classmethod
    def _each_once(cls, iou_types: list[IouType]) -> list[IouType]:
        if len(set(iou_types)) != len(iou_types):
            raise ValueError(f"must name each of {list(IOU_TYPES)} at most once, got {iou_types}")
        return iou_types
