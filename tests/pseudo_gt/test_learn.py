"""The learned ranking: what counts as known, and that features decide."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.ensemble
from threadpoolctl import threadpool_info, threadpool_limits

from ggn.core import Instances
from ggn.pseudo_gt import learn
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


def test_an_iou_of_one_tenth_is_known(rectangles: Rectangles) -> None:
    """One pixel in common of ten; it is an eighth of the candidate."""
    found = label(rectangles([(0, 2, 1, 8)]).masks, rectangles([(0, 0, 1, 3)]).masks)
    assert (found.iou.tolist(), found.known.tolist()) == ([0.1], [True])


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


def test_just_enough_hits_of_just_half_are_learned_from() -> None:
    """Outside each fifth of 25 images, `MIN_HITS` candidates reach an IoU of 0.5, none more."""
    labels = Labels(np.full(25, 0.5), np.ones(25, dtype=bool))
    predicted = predict_iou(np.zeros((25, 1), np.float32), labels, np.arange(25))
    assert predicted.dtype == np.float32
    assert predicted.tolist() == pytest.approx([0.5] * 25)


def test_a_ranking_is_told_by_what_it_was_fitted_to(rectangles: Rectangles) -> None:
    """Twenty candidates are half of their object each; one fewer is refused with both numbers."""
    half, whole = rectangles([(0, 0, 2, 2)]), rectangles([(0, 0, 2, 4)]).masks
    items = [(ImageInstances(i, half, np.float32([[i]])), whole) for i in range(MIN_HITS)]
    ranking = LearnedRanking(items)
    features = np.arange(MIN_HITS, dtype=np.float32)
    parts = (features, np.full(MIN_HITS, 0.5), np.ones(MIN_HITS, dtype=bool))
    content = b"".join(part.tobytes() for part in parts)
    assert ranking.digest == hashlib.sha256(content).hexdigest()
    assert ranking(np.zeros((0, 1), np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match="got 19 of 19"):
        LearnedRanking(items[1:])


def test_images_without_annotations_are_ranked_too(rectangles: Rectangles) -> None:
    item = rectangles([(0, 0, 4, 4)])
    images = [(ImageInstances(i, item, np.float32([[0]])), item.masks) for i in range(30)]
    scores = learn_scores([*images, (ImageInstances(99, item, np.float32([[0]])), [])])
    assert scores[99].tolist() == pytest.approx([1], abs=0.05)


class Trees:
    """Stands in for scikit-learn's trees: notes its settings, what it fits, and the threads."""

    made: list[Any]

    def __init__(self, **settings: Any) -> None:
        self.settings, self.threads = settings, [threads()]
        self.made.append(self)

    def fit(self, features: Any, iou: Any, sample_weight: Any) -> None:
        self.threads.append(threads())
        self.features, self.iou, self.weights = features, iou, sample_weight

    def predict(self, features: Any) -> Any:
        self.threads.append(threads())
        return np.linspace(-0.5, 1.5, len(features))


def threads() -> int:
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")


def test_what_is_fitted_how_and_on_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most ten examples: of 25 every third. Each has the weight 1, unknown ones a tenth."""
    Trees.made = []
    monkeypatch.setattr(sklearn.ensemble, "HistGradientBoostingRegressor", Trees)
    monkeypatch.setattr(learn, "MAX_EXAMPLES", 10)
    known = np.arange(25) < 22
    labels = Labels(np.linspace(0.5, 1, 25), known)
    with threadpool_limits(2):
        trees = learn._fit(np.arange(25, dtype=np.float32)[:, None], labels)
        rated = learn._rate(trees, np.zeros((5, 1), np.float32))
    (spy,) = Trees.made
    assert spy.features[:, 0].tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert spy.iou.tolist() == labels.iou[::3].tolist()
    assert spy.weights.tolist() == [1] * 8 + [0.1]
    assert spy.threads == [2, 1, 1]
    assert rated.tolist() == [0, 0, 0.5, 1, 1]
    assert spy.settings == {
        "learning_rate": 0.1,
        "max_iter": 75,
        "max_leaf_nodes": 8,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": 0,
    }
