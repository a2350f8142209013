"""Outlines stay within the unit circle, enclose some area, and differ between families."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ggn.data.outlines import SEEN_OUTLINES, UNSEEN_OUTLINES, Loops

OUTLINES = {**SEEN_OUTLINES, **UNSEEN_OUTLINES}


def filled(loops: Loops) -> np.ndarray:
    """Draw an outline into 64 x 64 pixels that show the square around the unit circle."""
    picture = Image.new("1", (64, 64))
    for index, loop in enumerate(loops):
        points = [tuple(point) for point in (32 * (loop + 1) - 0.5).tolist()]
        ImageDraw.Draw(picture).polygon(points, fill=index == 0)
    return np.asarray(picture)


@pytest.mark.parametrize("family", OUTLINES)
def test_outlines_fit_the_unit_circle(family: str) -> None:
    for seed in range(20):
        loops = OUTLINES[family](np.random.default_rng(seed))
        points = np.concatenate(loops)
        assert points.shape[1] == 2
        assert np.hypot(*points.T).max() <= 1.04  # the corners of an arrow's tail
        assert 0.15 < filled(loops).mean() < np.pi / 4 + 0.03


@pytest.mark.parametrize("family", OUTLINES)
def test_outlines_vary_with_the_generator_alone(family: str) -> None:
    first, again, other = (OUTLINES[family](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def test_only_a_ring_has_a_hole() -> None:
    loops = {family: len(make(np.random.default_rng(0))) for family, make in OUTLINES.items()}
    assert loops.pop("ring") == 2
    assert set(loops.values()) == {1}
    assert not filled(OUTLINES["ring"](np.random.default_rng(0)))[28:36, 28:36].any()


def test_the_groups_share_no_family_and_no_two_families_look_the_same() -> None:
    assert not set(SEEN_OUTLINES) & set(UNSEEN_OUTLINES)
    masks = [filled(make(np.random.default_rng(3))) for make in OUTLINES.values()]
    for a, b in itertools.combinations(masks, 2):
        assert (a & b).sum() / (a | b).sum() < 0.95
