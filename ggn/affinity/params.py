"""Settings of the affinity network, by default the reference recipe; imports only pydantic."""

from typing import Literal

from pydantic import Field, model_validator

from ggn.engine.params import BackboneParams, TrainingParams


class AffinityParams(TrainingParams):
    """UPerNet on a ResNet: architecture, loss, augmentation and training."""

    backbone: BackboneParams = BackboneParams()
    """The residual network."""
    pool_channels: int = Field(512, ge=4, multiple_of=4)
    """Channels of each of the four branches (1, 2, 3 and 6 cells a side) of pyramid pooling."""
    pool_norm: Literal["group", "batch"] = "group"
    """Normalisation of these branches; `batch` fails with few images a batch: bin 1 is constant."""
    head_channels: int = Field(256, ge=4, multiple_of=4)
    """Channels of the feature pyramid and of the fusion of its levels."""
    head_norm: Literal["batch", "group"] = "batch"
    """Normalisation of the pyramid; `group` needs no batch."""
    lr_batch_size: int | None = Field(8, ge=1)
    """Batch that `lr` is meant for: SGD runs at lr × batch_size / lr_batch_size; `null`: at lr."""
    weights_from: str | None = Field(None, pattern=r"^(models|releases)/\w+/affinity$")
    """Take the network of this folder as it is, and train none: `models/SPLIT/affinity` of another
    split, or `releases/ROW/affinity` (`inherited` in params.yaml must bring it)."""
    image_scale: float = Field(1.0, gt=0, le=8)
    """Factor by which the network enlarges an image before it looks at it. Its map has a quarter of
    the resolution it sees: where objects are a few dozen pixels wide, 2 gives sharper outlines for
    four times the work."""
    pos_weight: float = Field(0.05, gt=0)
    """Weight of the affine part of the soft target in the cross-entropy (not of a class)."""
    flip: bool = False
    """Whether half of the training images are mirrored."""
    scale_range: list[float] = Field([1.0, 1.0], min_length=2, max_length=2)
    """Smallest and largest factor of a random resize, drawn uniformly in the logarithm."""
    crop_size: int | None = Field(None, ge=32)
    """Largest side of a random crop in pixels after the resize; `null` trains on whole images."""

    @model_validator(mode="after")
    def _scales_in_order(self) -> "AffinityParams":
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(
                f"scale_range must be [smallest, largest], both > 0, got [{low}, {high}]"
            )
        return self
