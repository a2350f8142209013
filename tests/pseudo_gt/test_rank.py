"""Candidates are ordered by the score that the params name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ggn.core import Instances
from ggn.pseudo_gt.params import PseudoGtParams, RankName
from ggn.pseudo_gt.rank import as_extracted, oln_scores, rank_candidates, read_scores, write_scores
from ggn.store.parquet import ImageInstances

NAMES = ["area_fraction", "score_outline_affinity", "score_normalized_cut"]


@pytest.fixture
def item(rectangles: Callable[..., Instances]) -> ImageInstances:
    """Three candidates of 1, 2 and 3 pixels, extracted with the scores 0.9, 0.8 and 0.7."""
    boxes = [(0, 0, 1, 1), (2, 0, 1, 2), (4, 0, 1, 3)]
    features = np.array([[0.1, 0.5, 0.2], [0.2, 0.6, 0.4], [0.3, 0.5, 0.3]], dtype=np.float32)
    return ImageInstances(7, rectangles(boxes, [0.9, 0.8, 0.7]), features)


def test_extracted_keeps_order_and_scores(item: ImageInstances) -> None:
    ranked = rank_candidates(item, NAMES, "extracted")
    assert ranked.areas.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.9, 0.8, 0.7]))


def test_a_score_of_the_grouping_sorts_anew_and_becomes_the_score(item: ImageInstances) -> None:
    ranked = rank_candidates(item, NAMES, "normalized_cut")
    assert ranked.areas.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.4, 0.3, 0.2]))


@pytest.mark.parametrize("rank", ["learned", "oln"])
def test_images_without_scores_are_ranked_as_extracted(rank: RankName) -> None:
    """A limit of those scores does not apply to others; the rest of the params does."""
    params = PseudoGtParams(rank=rank, min_score=0.5, top_k=7)
    assert as_extracted(params) == PseudoGtParams(rank="extracted", min_score=None, top_k=7)


def test_other_images_are_ranked_by_scores_of_the_grouping() -> None:
    params = PseudoGtParams(rank="normalized_cut", min_score=0.5)
    assert as_extracted(params) is params


def test_ties_keep_the_order_of_extraction(item: ImageInstances) -> None:
    assert rank_candidates(item, NAMES, "outline_affinity").areas.tolist() == [2, 1, 3]


def test_ties_of_many_keep_the_order_of_extraction(rectangles: Callable[..., Instances]) -> None:
    """Sixty candidates with two scores in turn: numpy's default sort would mix them up."""
    scores = np.tile(np.float32([0.1, 0.2]), 30)
    pixels = rectangles([(i // 10, i % 10, 1, 1) for i in range(60)], np.zeros(60))
    item = ImageInstances(7, pixels, np.zeros((60, 1), np.float32))
    ranked = rank_candidates(item, ["x"], "oln", {7: scores})
    assert ranked.boxes_xyxy[:30, :2].tolist() == [[i % 10, i // 10] for i in range(1, 60, 2)]
    assert ranked.boxes_xyxy[30:, :2].tolist() == [[i % 10, i // 10] for i in range(0, 60, 2)]


def test_an_image_without_candidates_has_none_ranked() -> None:
    nothing = ImageInstances(7, Instances.empty((8, 10)), np.zeros((0, 3), dtype=np.float32))
    assert len(rank_candidates(nothing, NAMES, "normalized_cut")) == 0


def test_a_score_that_was_not_stored_is_named(item: ImageInstances) -> None:
    message = r"pseudo_gt.rank 'interior_affinity' needs the feature score_interior_affinity"
    with pytest.raises(ValueError, match=message):
        rank_candidates(item, NAMES, "interior_affinity")


@pytest.mark.parametrize("rank", ["learned", "oln"])
def test_given_scores_sort_and_become_the_score(item: ImageInstances, rank: RankName) -> None:
    ranked = rank_candidates(item, NAMES, rank, {7: np.float32([0.1, 0.3, 0.2])})
    assert ranked.areas.tolist() == [2, 3, 1]
    np.testing.assert_array_equal(ranked.scores, np.float32([0.3, 0.2, 0.1]))


@pytest.mark.parametrize("rank", ["learned", "oln"])
def test_an_image_without_given_scores_is_named(item: ImageInstances, rank: RankName) -> None:
    for given in (None, {8: np.float32([])}):
        with pytest.raises(ValueError, match=rf"image 7: pseudo_gt\.rank '{rank}' needs {rank} "):
            rank_candidates(item, NAMES, rank, given)


def test_scores_of_affinity_and_oln_by_hand(item: ImageInstances, tmp_path: Path) -> None:
    scores = oln_scores(item, np.float32([0.2, 0.8, 0.5]), np.float32([0.5, 0.0, 1.0]))
    assert scores.tolist() == pytest.approx([0.45 + 0.3, 0.4 + 0.8, 0.35 + 1.0])
    nothing = ImageInstances(8, Instances.empty((8, 10)), np.zeros((0, 3), dtype=np.float32))
    none = oln_scores(nothing, np.float32([]), np.float32([]))
    write_scores(tmp_path / "scores.json", {7: scores, 8: none})
    read = read_scores(tmp_path / "scores.json")
    assert read.keys() == {7, 8}
    assert {row.dtype for row in read.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(read[7], scores)
    assert rank_candidates(item, NAMES, "oln", read).areas.tolist() == [3, 2, 1]
    assert len(rank_candidates(nothing, NAMES, "oln", read)) == 0
