"""The learned ranking: what counts as known, and that features decide."""

from collections.abc import Callable

import numpy as np
import pytest

from ggn.core import Instances
from ggn.pseudo_gt.learn import (
    FOLDS,
    MIN_HITS,
    Labels,
    LearnedRanking,
    label,
    learn_scores,
    predict_iou,
)
from ggn.store.parquet import ImageInstances

Rectangles = Callable[..., Instances]


def test_labels_counted_by_hand(rectangles: Rectangles) -> None:
    """An object of 4 x 5; a copy, a quarter in it, a part of it, one beside it, a sliver on it."""
    objects = rectangles([(0, 0, 4, 5)]).masks
    boxes = [(0, 0, 4, 5), (2, 0, 4, 5), (0, 0, 1, 1), (6, 6, 2, 2), (3, 4, 5, 2)]
    found = label(rectangles(boxes).masks, objects)
    assert found.iou.tolist() == pytest.approx([1, 10 / 30, 1 / 20, 0, 1 / 29])
    assert found.known.tolist() == [True, True, True, False, False]


def test_shares_of_several_objects_add_up(rectangles: Rectangles) -> None:
    objects = rectangles([(0, 0, 8, 3), (0, 5, 8, 3)]).masks  # the candidate has 2 of 8 in each
    found = label(rectangles([(0, 2, 1, 4)]).masks, objects)
    assert found.iou.tolist() == pytest.approx([1 / 27])
    assert found.known.tolist() == [True]


def test_without_objects_nothing_is_known(rectangles: Rectangles) -> None:
    found = label(rectangles([(0, 0, 4, 5)]).masks, [])
    assert (found.iou.tolist(), found.known.tolist()) == ([0], [False])


def known_function(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the second alone decides the IoU, not monotonically: 0.9 in the middle."""
    features = np.random.default_rng(seed).uniform(size=(count, 3)).astype(np.float32)
    return features, 0.9 - 1.6 * np.abs(features[:, 1].astype(np.float64) - 0.5)


def test_candidates_beside_annotations_are_ranked_as_those_on_them() -> None:
    """Half are annotated and half not; on the latter the ranking is that of their true IoU."""
    features, iou = known_function(2000)
    known = np.arange(2000) % 2 == 0
    predicted = predict_iou(
        features, Labels(np.where(known, iou, 0.0), known), np.arange(len(iou)) // 10
    )
    assert predicted.dtype == np.float32
    assert (predicted >= 0).all()
    assert (predicted <= 1).all()
    best = np.argsort(-predicted[~known])[:100]
    assert iou[~known][best].min() > 0.75
    assert np.corrcoef(predicted[~known], iou[~known])[0, 1] > 0.97


def test_what_is_unknown_weighs_little() -> None:
    """Were the unknown nine tenths negatives, an IoU of 0.9 would be expected to be 0.09."""
    features, iou = known_function(4000)
    known = np.arange(4000) % 10 == 0
    predicted = predict_iou(
        features, Labels(np.where(known, iou, 0.0), known), np.arange(len(iou)) // 10
    )
    assert predicted.max() > 0.35


def test_the_same_numbers_every_time() -> None:
    features, iou = known_function(500)
    labels = Labels(iou, np.ones(500, dtype=bool))
    first, second = (predict_iou(features, labels, np.arange(500)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_too_few_hits_are_refused_with_both_numbers() -> None:
    features, _ = known_function(100)
    iou = np.where(np.arange(100) < MIN_HITS - 1, 0.8, 0.2)
    images = (np.arange(100) >= MIN_HITS - 1).astype(np.int64)
    known = np.ones(100, dtype=bool)
    with pytest.raises(ValueError, match=f"at least {MIN_HITS} candidates .* of 100"):
        predict_iou(features, Labels(iou, known), images)
    with pytest.raises(ValueError, match="got 0 of 100"):
        predict_iou(features, Labels(np.full(100, 0.8), known), np.zeros(100, dtype=np.int64))


def test_an_image_has_no_part_in_its_own_ranking() -> None:
    """Of two kinds of images, whose IoUs are opposite, each is rated as the others teach."""
    features, iou = known_function(2000)
    images = np.arange(2000) // 20
    odd = images % 5 == 3  # one of the parts
    labels = Labels(np.where(odd, 1 - iou, iou), np.ones(2000, dtype=bool))
    predicted = predict_iou(features, labels, images)
    assert np.corrcoef(predicted[odd], iou[odd])[0, 1] > 0.95
    changed = Labels(np.where(odd, 0.5, iou), labels.known)
    np.testing.assert_array_equal(predict_iou(features, changed, images)[odd], predicted[odd])


def test_no_images_are_too_few() -> None:
    with pytest.raises(ValueError, match="got 0 of 0"):
        learn_scores([])


def test_scores_are_dealt_to_their_images(rectangles: Rectangles) -> None:
    """Good and bad candidates in turn, one image empty, one at half the annotations' size."""
    objects = rectangles([(0, 0, 4, 4)]).masks
    pair = [(0, 0, 4, 4), (2, 2, 4, 4)]
    features = np.float32([[1.0], [0.0]])
    items = [ImageInstances(i, rectangles(pair), features) for i in range(40, 10, -1)]
    items.append(ImageInstances(5, Instances.empty((8, 10)), np.zeros((0, 1), np.float32)))
    small = rectangles([(0, 0, 2, 2), (1, 1, 2, 2)], size_hw=(4, 5))
    items.append(ImageInstances(6, small, features))
    scores = learn_scores((item, objects) for item in items)
    assert list(scores) == [*range(40, 10, -1), 5, 6]
    assert scores[5].shape == (0,)
    for image_id in (40, 11, 6):
        assert scores[image_id].tolist() == pytest.approx([1, 4 / 28], abs=0.01)


def test_a_ranking_rates_new_images_as_the_stage_rates_a_part(rectangles: Rectangles) -> None:
    """Fitted to the images outside a part, it gives those in it the scores of `learn_scores`."""
    rng = np.random.default_rng(0)
    objects = rectangles([(0, 0, 4, 4)]).masks
    places = [(x, y, 4, 4) for x, y in rng.integers(0, 3, (300, 2)).tolist()]
    features = rng.random((300, 2)).astype(np.float32) + np.float32([[x, y] for x, y, *_ in places])
    items = [
        ImageInstances(i, rectangles(places[5 * i : 5 * i + 5]), features[5 * i : 5 * i + 5])
        for i in range(60)
    ]
    stage = learn_scores((item, objects) for item in items)
    ranking = LearnedRanking((item, objects) for item in items if item.image_id % FOLDS != 2)
    for item in items[2::FOLDS]:
        assert ranking(item.features).tolist() == stage[item.image_id].tolist()
    assert ranking(np.zeros((0, 2), np.float32)).shape == (0,)
    other = LearnedRanking((item, objects) for item in items if item.image_id % FOLDS != 3)
    assert ranking.digest != other.digest
    with pytest.raises(ValueError, match=f"at least {MIN_HITS} candidates"):
        LearnedRanking([(items[0], objects)])
