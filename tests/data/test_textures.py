"""Textures: bounded, reproducible, and those of the two groups are different ones."""

import numpy as np
import pytest

from ggn.data.textures import (
    SEEN_TEXTURES,
    UNSEEN_TEXTURES,
    add_lines,
    background,
    blend,
    pattern,
    smooth_noise,
    two_colours,
)

Y, X = np.mgrid[-20:20, -30:30].astype(np.float32)


@pytest.mark.parametrize("texture", SEEN_TEXTURES + UNSEEN_TEXTURES)
def test_patterns_are_reproducible_and_within_their_range(texture: str) -> None:
    first, again, other = (
        pattern(texture, np.random.default_rng(seed), (Y, X), 20) for seed in (5, 5, 6)
    )
    assert first.shape == (40, 60)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    np.testing.assert_array_equal(first, again)
    assert (texture == "plain") == np.array_equal(first, other)


def test_plain_is_flat_and_the_others_are_not() -> None:
    spread = {
        texture: np.ptp(pattern(texture, np.random.default_rng(0), (Y, X), 20))
        for texture in SEEN_TEXTURES + UNSEEN_TEXTURES
    }
    assert spread.pop("plain") == 0
    assert min(spread.values()) > 1


def test_stripes_vary_along_one_direction_only() -> None:
    """Gradients of stripes share one direction, those of a checkerboard do not."""
    coherence = {}
    for texture in ("stripes", "checker"):
        values = pattern(texture, np.random.default_rng(0), (Y, X), 20).astype(float)
        dy, dx = np.gradient(values)
        steep = np.hypot(dy, dx) > 0.1
        coherence[texture] = np.abs(np.exp(2j * np.arctan2(dy[steep], dx[steep])).mean())
    assert coherence["stripes"] > 0.9 > 0.3 > coherence["checker"]


def test_the_groups_share_no_texture() -> None:
    assert not set(SEEN_TEXTURES) & set(UNSEEN_TEXTURES)


def test_blend_runs_from_one_colour_to_the_other() -> None:
    low, high = np.float32([0, 0.2, 1]), np.float32([1, 0.4, 0])
    blended = blend(np.float32([[-1, 0, 1]]), low, high)
    np.testing.assert_allclose(blended, [[low, [0.5, 0.3, 0.5], high]], rtol=1e-6)


def test_colours_are_visible_and_moderately_apart() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([two_colours(rng) for _ in range(200)])
    assert 0.05 <= pairs.min() <= pairs.max() <= 0.95
    distance = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
    assert np.median(distance) > 0.12
    assert distance.max() <= 0.351


def test_noise_of_a_coarse_grain_is_smooth() -> None:
    fine, coarse = (smooth_noise(np.random.default_rng(0), (60, 80), cell) for cell in (2, 20))
    assert fine.shape == coarse.shape == (60, 80)
    assert np.abs(np.diff(coarse)).mean() < np.abs(np.diff(fine)).mean() / 4


def test_backgrounds_are_reproducible_and_cluttered() -> None:
    first, again = (background(np.random.default_rng(2), (50, 70)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (50, 70, 3)
    assert first.std(axis=(0, 1)).min() > 0.02


def test_lines_are_thin_and_few_pixels_change() -> None:
    canvas = np.full((80, 80, 3), 0.5, dtype=np.float32)
    add_lines(np.random.default_rng(4), canvas, 1)
    changed = np.abs(canvas - 0.5).max(axis=2) > 0.01
    assert 20 < changed.sum() < 80 * 5
