"""The training settings that every network of GGN has; imports only pydantic."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingParams(BaseModel):
    """Optimiser, schedule and machine; a package's own params inherit these fields.

    Lengths are in epochs: `steps = ceil(epochs × ceil(images / batch_size))`, whatever the number
    of devices, because `batch_size` counts the images of one step on all devices together.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    epochs: float = Field(20, gt=0, le=10_000)
    """Passes over the training images; a fraction is allowed."""
    batch_size: int = Field(8, ge=1)
    """Images of one optimisation step, over all devices together."""
    lr: float = Field(0.02, gt=0)
    """Learning rate after the warm-up, for this batch size (it is not rescaled)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of stochastic gradient descent."""
    weight_decay: float = Field(1e-4, ge=0)
    """L2 penalty."""
    decay_norm_and_bias: bool = True
    """Whether the penalty also acts on biases and normalisation layers (the reference does so)."""
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
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Arithmetic; `auto` takes bf16-mixed where the device multiplies bf16 fast."""
    devices: int = Field(1, ge=1)
    """GPUs of one machine to train on (one process on a machine without)."""
    workers: int = Field(0, ge=0)
    """Processes that read images; 0 reads them in the training process."""
    checkpoint_steps: int = Field(500, ge=1)
    """Steps between two checkpoints from which a killed training resumes."""
    log_steps: int = Field(20, ge=1)
    """Steps between two points of the logged curves."""
