"""Random changes of an image's colours."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ggn.data.transforms import Target

LUMA = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in the grey of a pixel (ITU-R BT.601)."""


@dataclass(frozen=True)
class RandomColours:
    """Changes brightness, contrast, saturation and tint, each by its own random factor.

    The factors are drawn uniformly from 1 - `strength` to 1 + `strength`. Brightness multiplies
    all values, contrast their distance from the mean grey of the image, saturation the distance
    from the grey of the pixel, and tint each of red, green and blue by itself.
    """

    generator: torch.Generator
    strength: float

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the sample with changed colours: image uint8 (3, H, W), rounded and clipped."""
        draws = torch.rand(6, generator=self.generator, dtype=torch.float64)
        factors = (1 + self.strength * (2 * draws - 1)).float()
        brightness, contrast, saturation = factors[:3].tolist()
        pixels = image.float() * brightness
        mean = _grey(pixels).mean()
        pixels = mean + contrast * (pixels - mean)
        grey = _grey(pixels)
        pixels = grey + saturation * (pixels - grey)
        pixels = pixels * factors[3:].view(3, 1, 1)
        return pixels.round_().clamp_(0, 255).to(torch.uint8), target


@dataclass(frozen=True)
class RandomInversion:
    """Turns light into dark and each colour into its complement, in a random share of samples."""

    generator: torch.Generator
    share: float

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the sample, its image uint8 (3, H, W) inverted or not."""
        inverted = float(torch.rand((), generator=self.generator)) < self.share
        return (255 - image if inverted else image), target


def _grey(pixels: Tensor) -> Tensor:
    return (pixels * torch.tensor(LUMA).view(3, 1, 1)).sum(dim=0, keepdim=True)
