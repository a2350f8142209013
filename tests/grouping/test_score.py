"""The five scores, worked out by hand."""

import numpy as np
import pytest

from ggn.grouping.params import ScoreName
from ggn.grouping.score import SCORES, Sums

# 4 x 4 pixels, affinity 0.75 on the 12 of the rim and 1 inside; 16 cracks to the rest of the image,
# with 0.25 on their far sides. A corner pixel of the rim lies at two cracks.
SQUARE = {
    "area": 16,
    "affinity": 12 * 0.75 + 4,
    "frame": 0,
    "rim": 12,
    "rim_affinity": 12 * 0.75,
    "outline": 16,
    "outline_affinity": 16 * (0.75 + 0.25),
    "outline_strength": 16 * 0.75,
}


def sums(**changes: float) -> Sums:
    return Sums(**{key: np.array([float(value)]) for key, value in (SQUARE | changes).items()})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("outline_affinity", 1 - 0.5),
        ("interior_affinity", 1 + 13 / 16),
        ("interior_minus_twice_outline", 1 + (13 - 2 * 16) / 16),
        ("outline_minus_interior", 1 - (0.5 - 1)),
        ("normalized_cut", 1 - 16 / (4 + 16)),
    ],
)
def test_scores_of_a_square(name: ScoreName, expected: float) -> None:
    assert SCORES[name](sums()).tolist() == [pytest.approx(expected)]


def test_a_segment_that_is_all_rim_is_its_own_interior() -> None:
    thin = sums(area=12, affinity=9)
    assert SCORES["outline_minus_interior"](thin)[0] == pytest.approx(1 - (0.5 - 0.75))


@pytest.mark.parametrize("name", list(SCORES))
def test_scores_are_finite_without_affinity_and_without_outline(name: ScoreName) -> None:
    dark = sums(affinity=0, rim_affinity=0, outline_affinity=0)
    whole = sums(frame=16, rim=0, rim_affinity=0, outline=0, outline_affinity=0)
    assert np.isfinite(SCORES[name](dark)).all()
    assert np.isfinite(SCORES[name](whole)).all()


@pytest.mark.parametrize("name", ["outline_affinity", "outline_minus_interior", "normalized_cut"])
def test_a_clearer_outline_scores_higher(name: ScoreName) -> None:
    assert SCORES[name](sums(outline_affinity=4)) > SCORES[name](sums())


def test_sums_can_be_taken_of_some_segments() -> None:
    two = Sums(**{key: np.array([1.0, value]) for key, value in SQUARE.items()})
    assert two[np.array([1])].area.tolist() == [16]


def test_scores_of_a_single_pixel() -> None:
    """Affinity 0.5 inside and 0.25 on the far side of its four cracks; it is all rim."""
    pixel = sums(
        area=1, affinity=0.5, rim=1, rim_affinity=0.5, outline=4, outline_affinity=4 * 0.75
    )
    outline = 4 * 0.75 / 8
    assert SCORES["outline_affinity"](pixel)[0] == pytest.approx(1 - outline)
    assert SCORES["interior_affinity"](pixel)[0] == pytest.approx(1.5)
    assert SCORES["outline_minus_interior"](pixel)[0] == pytest.approx(1 - (outline - 0.5))
    assert SCORES["normalized_cut"](pixel)[0] == pytest.approx(0)  # nothing is inside the rim


def test_a_cut_through_little_affinity_is_a_share_of_it() -> None:
    faint = sums(affinity=0.5, rim_affinity=0.25, outline_affinity=0.25)
    assert SCORES["normalized_cut"](faint)[0] == pytest.approx(0.5)


def test_without_any_affinity_the_cut_is_everything() -> None:
    dark = sums(affinity=0, rim_affinity=0, outline_affinity=0)
    assert SCORES["normalized_cut"](dark).tolist() == [0]
    assert SCORES["outline_affinity"](dark).tolist() == [1]
    assert SCORES["interior_affinity"](dark).tolist() == [1]
