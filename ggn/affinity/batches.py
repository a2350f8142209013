"""From samples to training batches: random resize, crop and flip, then padding to one size."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import PADDING_LABEL
from ggn.data.colours import RandomColours, RandomInversion
from ggn.data.transforms import Compose, RandomCrop, RandomHorizontalFlip, RandomScale, Transform
from ggn.engine.backbone import IMAGE_MEAN

# A smaller single image would be one pixel at the coarsest stage, on which batch normalisation
# cannot be trained.
_SMALLEST_SIDE = 64

Sample = tuple[Tensor, Tensor, int]
"""An image uint8 (3, H, W), its instance map int32 (H, W) and its id: `AffinitySamples`."""


class AffinityBatch(NamedTuple):
    """Images uint8 (B, 3, H, W), labels int32 (B, H, W) with -1 on the padding, and the ids."""

    images: Tensor
    labels: Tensor
    image_ids: list[int]


def augment(sample: Sample, generator: Generator, params: AffinityParams) -> Sample:
    """Randomly resize, crop and mirror image and labels, change the image's colours, invert them.

    The generator is the only source of randomness.
    """
    image, labels, image_id = sample
    transforms: list[Transform] = []
    if params.scale_range != [1.0, 1.0]:
        transforms.append(RandomScale(generator, *params.scale_range))
    if params.crop_size is not None:
        size_hw = (params.crop_size, params.crop_size)
        transforms.append(RandomCrop(generator, size_hw, params.object_crop_share))
    if params.flip:
        transforms.append(RandomHorizontalFlip(generator))
    if params.colour_jitter > 0:
        transforms.append(RandomColours(generator, params.colour_jitter))
    if params.inverted_share > 0:
        transforms.append(RandomInversion(generator, params.inverted_share))
    image, target = Compose(transforms)(image, {"labels": labels})
    return image, target["labels"], image_id


def collate(samples: Sequence[Sample], crop_size: int | None) -> AffinityBatch:
    """Pad on the right and at the bottom to the crop size, or to the size of the largest sample.

    The padding is the mean colour, which the network sees as 0; its pixels don't count.
    """
    height, width = (
        max(_SMALLEST_SIDE, crop_size or 0, *(labels.shape[axis] for _, labels, _ in samples))
        for axis in (0, 1)
    )
    colour = torch.tensor(IMAGE_MEAN).round().to(torch.uint8).view(1, 3, 1, 1)
    images = colour.expand(len(samples), 3, height, width).clone()
    batch_labels = torch.full((len(samples), height, width), PADDING_LABEL, dtype=torch.int32)
    for index, (image, labels, _) in enumerate(samples):
        h, w = labels.shape
        images[index, :, :h, :w] = image
        batch_labels[index, :h, :w] = labels
    return AffinityBatch(images, batch_labels, [image_id for _, _, image_id in samples])
