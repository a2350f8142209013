"""Textures of the embedded dataset: fills of objects, and backgrounds made of all of them."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
SeenTexture = Literal["plain", "gradient", "stripes"]
UnseenTexture = Literal["checker", "dots", "rings", "speckle"]
SEEN_TEXTURES: tuple[SeenTexture, ...] = get_args(SeenTexture)
UNSEEN_TEXTURES: tuple[UnseenTexture, ...] = get_args(UnseenTexture)


def smooth_noise(rng: np.random.Generator, size_hw: tuple[int, int], cell: float) -> Floats:
    """Noise (H, W) of about unit variance whose grain is `cell` pixels wide."""
    grid = tuple(int(np.ceil(side / cell)) + 2 for side in size_hw)
    coarse = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
    fine = coarse.resize(size_hw[::-1], Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float32)


def pattern(
    texture: SeenTexture | UnseenTexture,
    rng: np.random.Generator,
    yx: tuple[Floats, Floats],
    extent: float,
) -> Floats:
    """One texture with random phase, direction and period, values within [-1, 1].

    `yx` are pixel coordinates (H, W) relative to the texture's centre; `extent` is the radius in
    pixels of what it will cover: it bounds the period, so that a texture shows on small objects.
    """
    angle, phase = rng.uniform(0, 2 * np.pi, size=2)
    along = np.float32(np.cos(angle)) * yx[1] + np.float32(np.sin(angle)) * yx[0]
    across = np.float32(np.cos(angle)) * yx[0] - np.float32(np.sin(angle)) * yx[1]
    wave = np.float32(2 * np.pi / (rng.uniform(0.35, 0.8) * np.clip(extent, 10, 28)))
    values: Floats
    if texture == "plain":
        values = np.zeros_like(along)
    elif texture == "gradient":
        values = np.clip(along / np.float32(extent), -1, 1)
    elif texture == "stripes":
        values = np.tanh(3 * np.sin(wave * along + np.float32(phase)))
    elif texture == "checker":
        values = np.tanh(4 * np.sin(wave * along) * np.sin(wave * across))
    elif texture == "dots":
        values = np.tanh(3 * (np.cos(wave * along) + np.cos(wave * across) - np.float32(0.6)))
    elif texture == "rings":
        values = np.tanh(3 * np.sin(wave * np.hypot(*yx) + np.float32(phase)))
    else:
        values = np.tanh(smooth_noise(rng, (along.shape[0], along.shape[1]), 2.5))
    return values


def two_colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A random RGB colour in [0, 1] and another one at a moderate distance from it."""
    colour = rng.uniform(0.12, 0.88, size=3)
    step = rng.standard_normal(3) + rng.choice([-1.0, 1.0])
    other = colour + rng.uniform(0.12, 0.35) * step / np.linalg.norm(step)
    return colour.astype(np.float32), np.clip(other, 0.05, 0.95).astype(np.float32)


def blend(weight: Floats, low: Floats, high: Floats) -> Floats:
    """Colours (H, W, 3): `low` where `weight` (H, W) is -1, `high` where it is 1."""
    return low + tinted(0.5 + 0.5 * weight, high - low)


def tinted(grey: Floats, colour: Floats) -> Floats:
    """Return (H, W, 3): `colour` times `grey` (H, W)."""
    product: Floats = grey.reshape(-1, 1) @ colour.reshape(1, 3)  # 3 times as fast as broadcasting
    return product.reshape(*grey.shape, 3)


def background(rng: np.random.Generator, size_hw: tuple[int, int]) -> Floats:
    """A cluttered background (H, W, 3) in about [0, 1], without any object.

    A gradient under noise of several scales, soft-edged patches of every texture, and thin lines.
    """
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    extent = float(max(size_hw))
    canvas = blend(
        pattern("gradient", rng, (y - height / 2, x - width / 2), extent / 2), *two_colours(rng)
    )
    for cell, strength in ((48, 0.07), (16, 0.05), (5, 0.025)):
        tint = strength * rng.uniform(0.4, 1.2) * (1 + 0.5 * rng.standard_normal(3))
        canvas += tinted(smooth_noise(rng, size_hw, cell), tint.astype(np.float32))
    for _ in range(rng.integers(2, 6)):
        _add_patch(rng, canvas, (y, x))
    add_lines(rng, canvas, int(rng.integers(0, 3)))
    return canvas


def add_lines(rng: np.random.Generator, canvas: Floats, count: int) -> None:
    """Blend thin curved lines into `canvas` (H, W, 3), in place."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    for _ in range(count):
        _add_line(rng, canvas, (y, x))


def _add_patch(rng: np.random.Generator, canvas: Floats, yx: tuple[Floats, Floats]) -> None:
    """Blend a soft-edged patch of one texture, seen or unseen, into `canvas` in place."""
    size_hw = (canvas.shape[0], canvas.shape[1])
    texture = (SEEN_TEXTURES + UNSEEN_TEXTURES)[rng.integers(len(SEEN_TEXTURES + UNSEEN_TEXTURES))]
    centre = rng.uniform(0, size_hw).astype(np.float32)
    radius = rng.uniform(0.15, 0.4) * min(size_hw)
    moved = (yx[0] - centre[0], yx[1] - centre[1])
    fill = blend(pattern(texture, rng, moved, radius), *two_colours(rng))
    bumpy = np.hypot(*moved) / np.float32(radius) + 0.25 * smooth_noise(rng, size_hw, 20)
    opacity = np.float32(rng.uniform(0.3, 0.9)) / (1 + np.exp(np.clip(9 * (bumpy - 1), -30, 30)))
    canvas += opacity[..., None] * (fill - canvas)


def _add_line(rng: np.random.Generator, canvas: Floats, yx: tuple[Floats, Floats]) -> None:
    """Blend a thin curved line into `canvas` in place."""
    size_hw = np.array(canvas.shape[:2])
    angle = rng.uniform(0, np.pi)
    centre = rng.uniform(0, size_hw)
    dy, dx = yx[0] - np.float32(centre[0]), yx[1] - np.float32(centre[1])
    across = np.float32(np.cos(angle)) * dy - np.float32(np.sin(angle)) * dx
    along = np.float32(np.cos(angle)) * dx + np.float32(np.sin(angle)) * dy
    distance = np.abs(across + np.float32(rng.uniform(-0.006, 0.006)) * along**2)
    half_width = np.float32(rng.uniform(0.4, 1.3))
    reach = np.float32(rng.uniform(0.2, 0.8) * size_hw.max())
    opacity = np.clip(half_width + 0.5 - distance, 0, 1) * (np.abs(along) < reach)
    touched = opacity > 0
    strength = np.float32(rng.uniform(0.4, 0.9)) * opacity[touched][:, None]
    canvas[touched] += strength * (two_colours(rng)[0] - canvas[touched])
