"""The training settings that every network of GGN has; imports only pydantic."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NO_RESULT = {"workers", "log_steps", "checkpoint_steps"}
"""Settings of a training that change nothing of its result; the card of its weights omits them."""

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class BackboneParams(BaseModel):
    """The ResNet that a network stands on."""

    model_config = _STRICT

    name: Literal["resnet10", "resnet18", "resnet34", "resnet50", "resnet101"] = "resnet50"
    """Depth."""
    width: int = Field(64, ge=4, multiple_of=4)
    """Channels of the stem; stage i has width × 2^(i − 1), with bottlenecks four times that."""
    norm: Literal["batch", "frozen_batch", "group"] = "batch"
    """`frozen_batch` uses the statistics of the pretrained weights; `group` needs no batch."""
    weights: str | None = "imagenet"
    """`imagenet`, a file with torchvision's key names, or `null` for random initial weights."""
    stride_in_1x1: bool = False
    """Whether bottlenecks stride in their first convolution (the Caffe layout)."""
    frozen_stages: int = Field(0, ge=0, le=4)
    """Stages that don't learn, with the stem; 0: everything learns, the stem too."""

    @model_validator(mode="after")
    def _random_weights_must_learn(self) -> "BackboneParams":
        if self.weights is None and self.frozen_stages > 0:
            raise ValueError("frozen_stages must be 0 with random initial weights (weights: null)")
        if self.weights is None and self.norm == "frozen_batch":
            raise ValueError("norm frozen_batch needs pretrained weights; without, use group")
        return self


def _is_zero(value: float) -> bool:
    """Keep an option that is off out of cards: those of models from before it stay as they are."""
    return value == 0


class TrainingParams(BaseModel):
    """Optimiser, schedule, machine and inversion; a package's own params inherit these fields.

    Lengths are in epochs: `steps = ceil(epochs × ceil(images / batch_size))`, whatever the number
    of devices, because `batch_size` counts the images of one step on all devices together.
    """

    model_config = _STRICT

    epochs: float = Field(20, gt=0, le=10_000)
    """Passes over the training images; a fraction is allowed."""
    batch_size: int = Field(8, ge=1)
    """Images of one optimisation step, over all devices together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum, or Adam with decoupled weight decay, which needs a
    far smaller `lr` and learns faster from random weights."""
    lr: float = Field(0.02, gt=0)
    """Learning rate after the warm-up, for batches of `lr_batch_size`."""
    lr_batch_size: int | None = Field(None, ge=1)
    """Batch that `lr` is meant for: it is lr × batch_size / lr_batch_size; `null`: lr as it is."""
    backbone_lr_share: float = Field(1.0, gt=0, le=1)
    """Share of the learning rate that the backbone learns at."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of stochastic gradient descent, or of AdamW's mean gradient (its beta 1)."""
    weight_decay: float = Field(1e-4, ge=0)
    """L2 penalty of stochastic gradient descent, or AdamW's decay."""
    decay_norm_and_bias: bool = True
    """Whether the decay also acts on biases and normalisation layers (the reference does so)."""
    warmup_steps: int = Field(500, ge=0)
    """Steps over which the learning rate rises linearly; 0 for none."""
    warmup_factor: float = Field(0.001, gt=0, le=1)
    """Share of the learning rate at which the warm-up starts."""
    schedule: Literal["steps", "cosine"] = "steps"
    """After the warm-up: constant with drops at `milestones`, or a half cosine down to zero."""
    milestones: list[float] = [15]
    """Epochs at which the learning rate is multiplied by `gamma` (schedule `steps`), ascending."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor of each drop."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest L2 norm of the gradient of all parameters together; `null` for no limit."""
    inverted_share: float = Field(0.0, ge=0, le=1, exclude_if=_is_zero)
    """Share of the training images whose colours are inverted, for objects that are brighter than
    what surrounds them in some images and darker in others."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Arithmetic; `auto` is bf16-mixed on a GPU that has it, and 32-true on every CPU."""
    compile: bool = False
    """Whether torch.compile fuses the network (in a detector, its backbone) before the first step;
    it needs a C++ compiler, and on a GPU pays off after minutes."""
    devices: int = Field(1, ge=1)
    """GPUs to train on, or processes if there is no GPU; torchrun or SLURM overrides the number.

    A batch is shared out evenly; BatchNorm that learns sees the statistics of each share."""
    workers: int = Field(0, ge=0)
    """Processes that read images; 0 reads them in the training process."""
    checkpoint_steps: int = Field(500, ge=1)
    """Steps between two checkpoints from which a killed training resumes."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """How the trained weights are stored; half precision takes half the space."""
    log_steps: int = Field(20, ge=1)
    """Steps between two points of the logged curves."""

    @model_validator(mode="after")
    def _milestones_ascend(self) -> "TrainingParams":
        if self.milestones != sorted(set(self.milestones)) or min(self.milestones, default=1) <= 0:
            raise ValueError("milestones must be positive epochs in ascending order")
        return self
