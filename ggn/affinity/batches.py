"""From samples to training batches: random flip, resize and crop, then padding to one size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import OUTSIDE
from ggn.engine.backbone import IMAGE_MEAN

# A smaller batch of one image would reach the coarsest stage as a single pixel, which batch
# normalisation cannot train on.
_SMALLEST_SIDE = 64


class AffinitySample(NamedTuple):
    """An image uint8 (3, H, W), its instance labels int32 (H, W) and its id."""

    image: Tensor
    labels: Tensor
    image_id: int


class AffinityBatch(NamedTuple):
    """Images uint8 (B, 3, H, W), labels int32 (B, H, W) with -1 on the padding, and the ids."""

    images: Tensor
    labels: Tensor
    image_ids: list[int]


def augment(sample: AffinitySample, params: AffinityParams, generator: Generator) -> AffinitySample:
    """Resize, crop and mirror at random, image and labels alike; the generator decides all."""
    image, labels = sample.image, sample.labels
    size = resized_size(image.shape[1:], params.scale_range, _uniform(generator))
    if size != tuple(image.shape[1:]):
        image, labels = _resize(image, labels, size)
    rows = _window(size[0], params.crop_size, _uniform(generator))
    columns = _window(size[1], params.crop_size, _uniform(generator))
    image, labels = image[:, rows, columns], labels[rows, columns]
    if _uniform(generator) < params.flip_probability:
        image, labels = image.flip(-1), labels.flip(-1)
    return AffinitySample(image, labels, sample.image_id)


def resized_size(
    size_hw: Sequence[int], scale_range: Sequence[float], position: float
) -> tuple[int, int]:
    """Return (H, W) scaled by the factor at `position` (0 … 1) of the range, in the logarithm."""
    low, high = (math.log(scale) for scale in scale_range)
    scale = math.exp(low + (high - low) * position)
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width


def collate(samples: Sequence[AffinitySample], crop_size: int | None) -> AffinityBatch:
    """Pad at the right and at the bottom to the crop's size, or to the largest sample's.

    The padding is the mean colour, which is 0 to the network, and no pixel of it counts.
    """
    height, width = (
        max(_SMALLEST_SIDE, crop_size or 0, *(sample.labels.shape[axis] for sample in samples))
        for axis in (0, 1)
    )
    colour = torch.tensor(IMAGE_MEAN).round().to(torch.uint8).view(1, 3, 1, 1)
    images = colour.expand(len(samples), 3, height, width).clone()
    labels = torch.full((len(samples), height, width), OUTSIDE, dtype=torch.int32)
    for index, sample in enumerate(samples):
        h, w = sample.labels.shape
        images[index, :, :h, :w] = sample.image
        labels[index, :h, :w] = sample.labels
    return AffinityBatch(images, labels, [sample.image_id for sample in samples])


def _uniform(generator: Generator) -> float:
    return float(torch.rand((), generator=generator))


def _window(side: int, crop: int | None, position: float) -> slice:
    if crop is None or crop >= side:
        return slice(0, side)
    start = min(int(position * (side - crop + 1)), side - crop)
    return slice(start, start + crop)


def _resize(image: Tensor, labels: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    pixels = F.interpolate(
        image[None].float(), size=size, mode="bilinear", align_corners=False, antialias=True
    )
    # float64 holds every int32 label exactly; nearest-exact samples at pixel centres.
    nearest = F.interpolate(labels[None, None].double(), size=size, mode="nearest-exact")
    return pixels[0].round().clamp(0, 255).to(torch.uint8), nearest[0, 0].to(torch.int32)
