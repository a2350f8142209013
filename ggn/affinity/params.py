"""Settings of the affinity network, by default the reference recipe; imports only pydantic."""

from typing import Any, Literal

from pydantic import Field, model_validator

from ggn.engine.params import BackboneParams, TrainingParams

NAMED_RECIPES: dict[str, dict[str, Any]] = {
    "reference": {},
    "photographs": {
        "backbone": {"norm": "frozen_batch"},
        "head": "upernet",
        "pool_channels": 64,
        "head_channels": 64,
        "head_norm": "group",
        "loss": "balanced",
        "epochs": 9,
        "batch_size": 8,
        "optimizer": "adamw",
        "lr": 0.001,
        "backbone_lr_share": 0.2,
        "weight_decay": 0.0001,
        "warmup_steps": 50,
        "schedule": "cosine",
        "gradient_clip": 1.0,
        "flip": True,
        "scale_range": [0.5, 1.0],
        "crop_size": 256,
        "object_crop_share": 0.8,
        "colour_jitter": 0.2,
        "prediction_scales": [1.0, 1.5],
        "prediction_mirrored": True,
    },
}
"""The settings of each recipe; other keys have the defaults of their fields."""


class AffinityParams(TrainingParams):
    """Architecture, loss, augmentation, training and prediction of the affinity network."""

    recipe: Literal["reference", "photographs"] = "reference"
    """Where settings that are not given come from: `reference` is GGN's recipe, the defaults of the
    fields; `photographs` is ours, which learns more from a few hundred photographs."""
    backbone: BackboneParams = BackboneParams()
    """The residual network."""
    head: Literal["upernet", "fpn"] = "upernet"
    """`upernet` pools and fuses all four stages of the backbone; `fpn` is a feature pyramid on the
    first three."""
    pool_channels: int = Field(512, ge=4, multiple_of=4)
    """Channels of each of the four branches (1, 2, 3 and 6 cells per side) of pyramid pooling
    (head `upernet`)."""
    pool_norm: Literal["group", "batch"] = "group"
    """Normalisation of these branches; `batch` fails in small batches, where the branch of one cell
    is constant."""
    head_channels: int = Field(256, ge=4, multiple_of=4)
    """Channels of the feature pyramid and of the fusion of its levels."""
    head_norm: Literal["batch", "group"] = "batch"
    """Normalisation of the pyramid; `group` needs no batch."""
    lr_batch_size: int | None = Field(8, ge=1)
    """Batch that `lr` is meant for: SGD runs at lr × batch_size / lr_batch_size; `null`: at lr."""
    weights_from: str | None = Field(None, pattern=r"^(models|releases)/\w+/affinity$")
    """Use the network in this folder instead of training one: `models/SPLIT/affinity` of another
    split, or `releases/ROW/affinity` (`inherited` in params.yaml must list it)."""
    train: bool = True
    """`false`: there is no affinity network, and everything that needs one is skipped. The
    candidates must then come from `grouping.candidates_from`."""
    image_scale: float = Field(1.0, gt=0, le=8)
    """Factor by which images are enlarged for the network, whose map has a quarter of its input's
    resolution. If objects are a few dozen pixels wide, 2 gives sharper outlines for four times the
    work."""
    loss: Literal["soft", "balanced"] = "soft"
    """Cross-entropy on soft targets, or on hard ones, balanced between edges and interior."""
    pos_weight: float = Field(0.05, gt=0)
    """Weight of the affine part of the soft target in the cross-entropy, not of a class (loss
    `soft`)."""
    flip: bool = False
    """Whether half of the training images are mirrored."""
    scale_range: list[float] = Field([1.0, 1.0], min_length=2, max_length=2)
    """Smallest and largest factor of a random resize, drawn uniformly in the logarithm."""
    crop_size: int | None = Field(None, ge=32)
    """Largest side of a random crop in pixels after the resize; `null` trains on whole images."""
    object_crop_share: float = Field(0.0, ge=0, le=1)
    """Share of the crops that must contain a random pixel of a random object."""
    colour_jitter: float = Field(0.0, ge=0, lt=1)
    """Largest change, as a share, of brightness, contrast, saturation and of each colour's part."""
    prediction_scales: list[float] = Field([1.0], min_length=1, max_length=8)
    """Scales at which a trained network processes an image; the map is the sigmoid of the mean of
    their logits. The time per map grows with the sum of their squares."""
    prediction_mirrored: bool = False
    """Whether it also processes the mirrored image at each scale, which takes twice the time."""

    @model_validator(mode="before")
    @classmethod
    def _follow_the_recipe(cls, given: Any) -> Any:
        name = given.get("recipe") if isinstance(given, dict) else None
        return _filled(given, NAMED_RECIPES[name]) if name in NAMED_RECIPES else given

    @model_validator(mode="after")
    def _scales_in_order(self) -> "AffinityParams":
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(
                f"scale_range must be [smallest, largest], both > 0, got [{low}, {high}]"
            )
        return self

    @model_validator(mode="after")
    def _prediction_scales_differ(self) -> "AffinityParams":
        scales = self.prediction_scales
        if len(set(scales)) < len(scales) or not all(0.1 <= scale <= 8 for scale in scales):
            raise ValueError(f"prediction_scales must be different, each 0.1 to 8, got {scales}")
        return self

    @model_validator(mode="after")
    def _object_crops_are_crops(self) -> "AffinityParams":
        if self.object_crop_share > 0 and self.crop_size is None:
            raise ValueError("object_crop_share needs a crop_size: whole images are not cropped")
        return self


def _filled(given: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the given settings and, for those left out, the recipe's, mapping by mapping."""
    filled = {**recipe, **given}
    for key in recipe.keys() & given.keys():
        if isinstance(recipe[key], dict) and isinstance(given[key], dict):
            filled[key] = _filled(given[key], recipe[key])
    return filled
