"""What both predictors do with an image and around a network."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ggn.engine.threads import one_thread


def image_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Return an RGB image uint8 (H, W, 3) as a tensor uint8 (3, H, W), which nobody may write to.

    It shares the image's memory where that is contiguous and may be written to.

    Raises:
        ValueError: the image has another shape or type, or no pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    pixels = np.require(
        image, requirements=["C", "W"]
    )  # a copy, if need be: torch has no read-only
    return torch.from_numpy(pixels).permute(2, 0, 1)


@contextmanager
def inference(device: torch.device, half: torch.dtype | None) -> Iterator[None]:
    """Compute in the body without gradients, in one thread, in half precision where there is one.

    Args:
        device: of the network.
        half: bfloat16 or float16, or None for float32.
    """
    with (
        one_thread(),
        torch.inference_mode(),
        torch.autocast(device.type, dtype=half, enabled=half is not None),
    ):
        yield
