"""Settings of the detector; the defaults are the reference recipe. Imports only pydantic."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ggn.engine.params import BackboneParams, TrainingParams

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class DetectorBackboneParams(BackboneParams):
    """The residual network; by default pretrained, with BatchNorm, stem and stage 1 frozen."""

    norm: Literal["batch", "frozen_batch", "group"] = "frozen_batch"
    """`frozen_batch` uses the statistics of the pretrained weights; `group` needs no batch."""
    frozen_stages: int = Field(1, ge=0, le=4)
    """Stages that don't learn, with the stem; 0: everything learns, the stem too."""


class RPNParams(BaseModel):
    """The region proposal network: one square anchor per location of each pyramid level."""

    model_config = _STRICT

    anchor_scale: float = Field(8, gt=0)
    """Side of an anchor in strides of its level (strides 4 to 64)."""
    positive_iou: float = Field(0.7, gt=0, le=1)
    """Anchors from this IoU on are trained as objects."""
    negative_iou: float = Field(0.3, ge=0, le=1)
    """Anchors below this IoU are trained as background; those between are ignored."""
    low_quality_iou: float = Field(0.3, ge=0, le=1)
    """From this IoU on, an object's best anchors are positive whatever `positive_iou` says."""
    samples: int = Field(256, ge=1)
    """Anchors per image that are trained on."""
    positive_fraction: float = Field(0.5, gt=0, le=1)
    """Largest share of objects among them."""
    candidates_per_level: int = Field(2000, ge=1)
    """Best-scored anchors of each level that become boxes."""
    nms_iou: float = Field(0.7, ge=0, le=1)
    """Overlap above which the lower-scored of two boxes of a level is dropped (not in OLN)."""
    proposals: int = Field(2000, ge=1)
    """Boxes per image that are passed to the second stage (in OLN, all candidates are)."""

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> "RPNParams":
        if self.negative_iou > self.positive_iou:
            raise ValueError("negative_iou must not exceed positive_iou")
        return self


class BoxParams(BaseModel):
    """The second stage: object or background, and a refined box, for each proposal."""

    model_config = _STRICT

    pool_size: int = Field(7, ge=1)
    """Cells per side that RoIAlign gives the box head."""
    channels: int = Field(1024, ge=1)
    """Width of its two fully connected layers."""
    positive_iou: float = Field(0.5, gt=0, le=1)
    """Proposals from this IoU on are trained as objects, all others as background."""
    samples: int = Field(512, ge=1)
    """Proposals per image that are trained on."""
    positive_fraction: float = Field(0.25, gt=0, le=1)
    """Largest share of objects among them."""
    delta_stds: list[float] = Field([0.1, 0.1, 0.2, 0.2], min_length=4, max_length=4)
    """Units of the regressed dx, dy, dw, dh."""

    @field_validator("delta_stds")
    @classmethod
    def _positive(cls, value: list[float]) -> list[float]:
        if min(value) <= 0:
            raise ValueError("delta_stds must be positive")
        return value


class OlnParams(BaseModel):
    """What the OLN heads add to the settings of both stages (Kim et al., 2022)."""

    model_config = _STRICT

    centerness_positive_iou: float = Field(0.3, gt=0, le=1)
    """From this IoU on, an anchor's centerness in its object is learned."""
    centerness_negative_iou: float = Field(0.1, ge=0, le=1)
    """Anchors below this IoU fill the sample, with centerness 0; those between are ignored."""
    box_weight: float = Field(10.0, gt=0)
    """Factor of the RPN's IoU loss."""

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> "OlnParams":
        if self.centerness_negative_iou > self.centerness_positive_iou:
            raise ValueError("centerness_negative_iou must not exceed centerness_positive_iou")
        return self


class MaskParams(BaseModel):
    """The mask head; its masks have twice `pool_size` cells per side."""

    model_config = _STRICT

    pool_size: int = Field(14, ge=1)
    """Cells per side that RoIAlign gives the mask head."""
    convolutions: int = Field(4, ge=0)
    """3×3 convolutions before the upsampling."""
    channels: int = Field(256, ge=4)
    """Width of these and of the upsampling."""
    norm: Literal["none", "group"] = "none"
    """`group` goes with a GroupNorm backbone."""


class DetectionParams(BaseModel):
    """How the second stage's boxes become detections at test time."""

    model_config = _STRICT

    nms_iou: float = Field(0.7, ge=0, le=1)
    """Overlap above which the lower-scored of two detections is dropped."""
    max_detections: int = Field(1500, ge=1)
    """Detections per image, best first."""
    mask_threshold: float = Field(0.5, gt=0, lt=1)
    """Pixels of at least this probability belong to the object."""


class DetectorParams(TrainingParams):
    """Class-agnostic Mask R-CNN or OLN: architecture, training and test settings."""

    heads: Literal["mask_rcnn", "oln"] = "mask_rcnn"
    """`mask_rcnn` tells objects from background. `oln` only learns how well a box fits an object,
    so it does not learn unannotated objects as background."""

    init_from: str | None = Field(None, pattern=r"^(models|releases)/\w+/(baseline|ggn\w*)$")
    """The training starts from the weights of a detector with the same layers:
    `models/SPLIT/RECIPE` of another split, or `releases/ROW/ggn` (`inherited` in params.yaml must
    list it)."""
    epochs: float = Field(8, gt=0, le=10_000)
    """Passes over the training images; a fraction is allowed."""
    batch_size: int = Field(16, ge=1)
    """Images of one optimisation step, over all devices together."""
    lr_batch_size: int | None = Field(16, ge=1)
    """Batch that `lr` is meant for: SGD runs at lr × batch_size / lr_batch_size; `null`: at lr."""
    milestones: list[float] = Field([6, 7])
    """Epochs at which the learning rate is multiplied by `gamma` (schedule `steps`), ascending."""

    max_size: list[int] = Field([1333, 800], min_length=2, max_length=2)
    """Limits of the longest and shortest side; images are scaled to be as large as both allow."""
    scale_range: list[float] = Field([1.0, 1.0], min_length=2, max_length=2)
    """Bounds of a random factor on `max_size` in training, uniform in its logarithm."""
    flip: bool = True
    """Whether half of the training images are mirrored."""
    fpn_channels: int = Field(256, ge=4)
    """Channels of the feature pyramid and of the RPN."""
    roi_sampling_ratio: int = Field(0, ge=0)
    """RoIAlign's samples per cell and axis; 0: as many as the cell has feature cells."""
    roi_level_scale: float = Field(56, gt=0)
    """RoIs up to twice this side (pixels) use the finest level; each doubling goes one level up."""
    backbone: DetectorBackboneParams = DetectorBackboneParams()
    """The residual network."""
    rpn: RPNParams = RPNParams()
    """The region proposal network."""
    box: BoxParams = BoxParams()
    """The box head."""
    oln: OlnParams = OlnParams()
    """The OLN heads; without effect on other heads."""
    mask: MaskParams | None = MaskParams()
    """The mask head; `null` for none: an object's mask is then its whole box."""
    detection: DetectionParams = DetectionParams()
    """The test-time limits."""

    @field_validator("max_size")
    @classmethod
    def _long_side_first(cls, value: list[int]) -> list[int]:
        if not value[0] >= value[1] >= 1:
            raise ValueError("max_size must be [longest side, shortest side], both positive")
        return value

    @field_validator("scale_range")
    @classmethod
    def _scales_in_order(cls, value: list[float]) -> list[float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("scale_range must be [smallest, largest], both positive")
        return value
