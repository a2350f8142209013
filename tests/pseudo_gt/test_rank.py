"""Candidates are ordered by the score that the params name."""

from collections.abc import Callable

import numpy as np
import pytest

from ggn.core import Instances
from ggn.pseudo_gt.rank import rank_candidates
from ggn.pseudo_gt.store import ImageCandidates

NAMES = ["area_fraction", "score_outline_affinity", "score_normalized_cut"]


@pytest.fixture
def item(rectangles: Callable[..., Instances]) -> ImageCandidates:
    """Three candidates of 1, 2 and 3 pixels, extracted with the scores 0.9, 0.8 and 0.7."""
    boxes = [(0, 0, 1, 1), (2, 0, 1, 2), (4, 0, 1, 3)]
    features = np.array([[0.1, 0.5, 0.2], [0.2, 0.6, 0.4], [0.3, 0.5, 0.3]], dtype=np.float32)
    return ImageCandidates(7, rectangles(boxes, [0.9, 0.8, 0.7]), features)


def test_extracted_keeps_order_and_scores(item: ImageCandidates) -> None:
    ranked = rank_candidates(item, NAMES, "extracted")
    assert ranked.areas.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.9, 0.8, 0.7]))


def test_a_score_of_the_grouping_sorts_anew_and_becomes_the_score(item: ImageCandidates) -> None:
    ranked = rank_candidates(item, NAMES, "normalized_cut")
    assert ranked.areas.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.4, 0.3, 0.2]))


def test_ties_keep_the_order_of_extraction(item: ImageCandidates) -> None:
    assert rank_candidates(item, NAMES, "outline_affinity").areas.tolist() == [2, 1, 3]


def test_an_image_without_candidates_has_none_ranked() -> None:
    nothing = ImageCandidates(7, Instances.empty((8, 10)), np.zeros((0, 3), dtype=np.float32))
    assert len(rank_candidates(nothing, NAMES, "normalized_cut")) == 0


def test_a_score_that_was_not_stored_is_named(item: ImageCandidates) -> None:
    message = r"pseudo_gt.rank 'interior_affinity' needs the feature score_interior_affinity"
    with pytest.raises(ValueError, match=message):
        rank_candidates(item, NAMES, "interior_affinity")


def test_learned_scores_sort_and_become_the_score(item: ImageCandidates) -> None:
    ranked = rank_candidates(item, NAMES, "learned", {7: np.float32([0.1, 0.3, 0.2])})
    assert ranked.areas.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.3, 0.2, 0.1]))


def test_an_image_without_learned_scores_is_named(item: ImageCandidates) -> None:
    for learned in (None, {8: np.float32([])}):
        with pytest.raises(ValueError, match=r"image 7: pseudo_gt\.rank 'learned' needs learned"):
            rank_candidates(item, NAMES, "learned", learned)
