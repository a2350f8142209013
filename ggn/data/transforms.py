"""Geometric transforms of an image together with its masks, boxes and label map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

Target = dict[str, Any]
"""What belongs to an image (3, H, W). Transforms change `masks` uint8 (N, H, W), `boxes` float32
(N, 4) xyxy and `labels` int32 (H, W), where present, and pass everything else on."""
Transform = Callable[[Tensor, Target], tuple[Tensor, Target]]


@dataclass(frozen=True)
class Compose:
    """Transforms applied one after the other."""

    transforms: Sequence[Transform]

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the sample after all transforms."""
        for transform in self.transforms:
            image, target = transform(image, target)
        return image, target


def fit_size(size_hw: tuple[int, int], max_size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) scaled, up or down, to fit (longer, shorter) side limits.

    GGN scales COCO images to fit (1333, 800) (section 4.1).
    """
    limits, sides = sorted(max_size), sorted(size_hw)
    scale = min(limit / side for limit, side in zip(limits, sides, strict=True))
    height, width = (max(1, int(side * scale + 0.5)) for side in size_hw)
    return height, width


def resize(image: Tensor, target: Target, size_hw: tuple[int, int]) -> tuple[Tensor, Target]:
    """Return image and target scaled to (height, width): smooth pixels, nearest masks and labels.

    Args:
        image: uint8 (3, H, W).
        target: see `Target`.
        size_hw: new height and width.
    """
    height, width = image.shape[-2:]
    if (height, width) == tuple(size_hw):
        return image, target
    # in float32: torch's uint8 kernel fails on some sizes
    smooth = interpolate(image[None].float(), size_hw, mode="bilinear", antialias=True)[0]
    resized = smooth.round_().clamp_(0, 255).to(torch.uint8)
    scaled = _on_planes(target, lambda planes: _nearest(planes, size_hw))
    if "boxes" in target:
        across, down = size_hw[1] / width, size_hw[0] / height
        scaled["boxes"] = target["boxes"] * torch.tensor([across, down, across, down])
    return resized, scaled


def _nearest(planes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Scale integer planes (…, H, W), nearest neighbour by pixel centres."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size_hw, planes.shape[-2:], strict=True)
    )
    return torch.from_numpy(planes.numpy().take(columns, -1).take(rows, -2))


def _on_planes(target: Target, change: Callable[[Tensor], Tensor]) -> Target:
    """Return a copy of the target with its masks and its label map changed in the same way."""
    changed = dict(target)
    for key in ("masks", "labels"):
        if key in target:
            changed[key] = change(target[key])
    return changed


@dataclass(frozen=True)
class ResizeToFit:
    """Scales, up or down, so that the longer and the shorter side fit their limits."""

    max_size: tuple[int, int] = (1333, 800)
    """Limits of the longer and of the shorter side, in pixels."""

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the scaled sample."""
        size_hw = fit_size((image.shape[-2], image.shape[-1]), self.max_size)
        return resize(image, target, size_hw)


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirrors a random half of the samples."""

    generator: torch.Generator

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the sample, mirrored or not."""
        if torch.rand((), generator=self.generator) >= 0.5:
            return image, target
        flipped = _on_planes(target, lambda planes: planes.flip(-1))
        if "boxes" in target:
            x1, y1, x2, y2 = target["boxes"].unbind(1)
            width = image.shape[-1]
            flipped["boxes"] = torch.stack([width - x2, y1, width - x1, y2], dim=1)
        return image.flip(-1), flipped


@dataclass(frozen=True)
class RandomScale:
    """Scales by a random factor between two bounds, uniform in its logarithm."""

    generator: torch.Generator
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ValueError(f"scale bounds must be 0 < low <= high, got {self.low}, {self.high}")

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the scaled sample."""
        fraction = float(torch.rand((), generator=self.generator))
        scale = self.low * (self.high / self.low) ** fraction
        height, width = (max(1, round(side * scale)) for side in image.shape[-2:])
        return resize(image, target, (height, width))


@dataclass(frozen=True)
class RandomCrop:
    """Cuts out a window of at most a given size; a smaller image stays as it is.

    Objects outside the window are left out, boxes are clipped to it.
    """

    generator: torch.Generator
    size_hw: tuple[int, int]
    object_share: float = 0.0
    """Share of the windows that contain a random pixel of a random object of `labels`."""

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        """Return the window of the sample."""
        height, width = (
            min(side, limit) for side, limit in zip(image.shape[-2:], self.size_hw, strict=True)
        )
        y, x = self._object_pixel(target)
        top = self._draw(image.shape[-2], height, y)
        left = self._draw(image.shape[-1], width, x)
        rows, columns = slice(top, top + height), slice(left, left + width)
        cropped = _on_planes(target, lambda planes: planes[..., rows, columns].clone())
        if "boxes" in target:
            moved = target["boxes"] - torch.tensor([left, top, left, top])
            cropped["boxes"] = clip_boxes(moved, (height, width))
        return image[..., rows, columns].clone(), drop_invisible(cropped)

    def _draw(self, side: int, length: int, inside: int | None) -> int:
        """Return a random start of a window of this length that contains the place `inside`."""
        first, last = 0, side - length
        if inside is not None:
            first, last = max(first, inside - length + 1), min(last, inside)
        return first + int(torch.randint(last - first + 1, (), generator=self.generator))

    def _object_pixel(self, target: Target) -> tuple[int, int] | tuple[None, None]:
        if self.object_share == 0 or self._choose(1.0) >= self.object_share:
            return None, None
        labels: Tensor = target["labels"]
        objects = torch.unique(labels[labels > 0])
        if not len(objects):
            return None, None
        pixels = (labels == objects[int(self._choose(len(objects)))]).nonzero()
        y, x = pixels[int(self._choose(len(pixels)))].tolist()
        return y, x

    def _choose(self, below: float) -> float:
        return below * float(torch.rand((), generator=self.generator, dtype=torch.float64))


def clip_boxes(boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Return boxes xyxy (N, 4) cut to an image of (height, width)."""
    height, width = size_hw
    limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    return boxes.clamp(min=0).minimum(limits)


def drop_invisible(target: Target) -> Target:
    """Return the target without objects whose mask or box is empty."""
    keys = [key for key in ("masks", "boxes") if key in target]
    visible = torch.ones(len(target[keys[0]]) if keys else 0, dtype=torch.bool)
    if "masks" in target:
        visible &= target["masks"].flatten(1).any(1).bool()
    if "boxes" in target:
        visible &= (target["boxes"][:, 2:] > target["boxes"][:, :2]).all(1)
    if visible.all():
        return target
    return {**target, **{key: target[key][visible] for key in keys}}
