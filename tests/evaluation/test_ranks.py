"""At which place each object was found, and what two models make of the same objects."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ggn.core.masks import encode
from ggn.evaluation.budget import NEVER
from ggn.evaluation.disagreement import Disagreement, disagreement, disagreement_row
from ggn.evaluation.evaluator import PartitionResult, evaluate_inputs
from ggn.evaluation.inputs import read_inputs
from ggn.evaluation.ranks import ObjectRanks
from ggn.evaluation.run_lengths import RunLengths, mask_iou

A, B, C, NOWHERE = (0, 0, 20, 20), (40, 0, 20, 20), (80, 0, 20, 20), (100, 100, 20, 20)


def test_found_is_at_iou_one_half_unless_another_threshold_is_asked_for() -> None:
    """Three objects, ranked per threshold: one is found at 0.5 alone, one never, one as third."""
    one, ranks = np.ones(3, np.int64), np.full((3, 10), NEVER, np.uint16)
    ranks[0, 0], ranks[2] = 1, 3
    objects = ObjectRanks(one, one, np.array([7, 7, 9]), ranks)
    assert objects.found(1).tolist() == [True, False, False]
    assert objects.found(3).tolist() == [True, False, True]
    assert objects.found(3, threshold=1).tolist() == [False, False, True]
    assert objects.category_recall(3) == {7: (2, 0.05), 9: (1, 1.0)}


def unseen_result(scene: Any, protocol: Any = "budget") -> PartitionResult:
    inputs = read_inputs(scene.annotations, scene.predictions, ["segm"])
    partitions = {"unseen": ["unseen", "rare"]}
    return evaluate_inputs(inputs, partitions, protocol=protocol, iou_type="segm")["unseen"]


def test_places_by_hand(scene: Any) -> None:
    # The seen object's detection leaves the budget: the unseen object is found at place 2.
    scene.objects("seen", A).objects("unseen", B).objects("rare", C).found(A, NOWHERE, B)
    objects = unseen_result(scene).objects
    assert objects.object_indices.tolist() == [1, 2]
    ids = objects.image_ids, objects.object_indices, objects.category_ids
    assert [column.dtype for column in (*ids, objects.ranks)] == ["int64"] * 3 + ["uint16"]
    assert objects.category_ids.tolist() == [7, 9]
    assert objects.ranks.tolist() == [[2] * 10, [NEVER] * 10]
    assert objects.found(1).tolist() == [False, False]
    assert objects.found(2).tolist() == [True, False]
    assert objects.category_recall(2) == {7: (1, 1.0), 9: (1, 0.0)}


@pytest.mark.parametrize("protocol", ["budget", "plain"])
def test_places_and_metrics_agree(scene: Any, protocol: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        scene.image()
        for name in ("seen", "unseen", "rare"):
            scene.objects(name, *rng.integers(10, 60, (2, 4)).tolist())
        scene.found(*rng.integers(10, 60, (40, 4)).tolist())
    result = unseen_result(scene, protocol)
    for k in (10, 20, 30):
        share = (result.objects.ranks <= k).mean()
        assert share == pytest.approx(result.metrics[f"AR_{k}"], abs=1e-12)
        by_category = result.objects.category_recall(k).values()
        assert share == pytest.approx(sum(n * r for n, r in by_category) / 20)


def test_objects_that_only_one_model_finds(scene: Any) -> None:
    scene.objects("unseen", A, B, C)
    inputs = read_inputs(scene.annotations, [], ["segm"])
    scene.found(A, B)
    first = unseen_result(scene).objects
    scene.predictions.clear()
    second = unseen_result(scene.found(B)).objects
    outcome = disagreement(first, second, k=100)
    assert outcome.counts() == {"both": 1, "only_first": 1, "only_second": 0, "neither": 1}
    assert outcome.most_disputed(5) == [10]
    grey = np.full((200, 200, 3), 100, np.uint8)
    row = disagreement_row(grey, inputs, 10, outcome, ["a", "b"])
    changed = {title: (picture != grey).any(axis=2).sum() for title, picture in row.items()}
    assert changed == {"evaluated objects": 3 * 400, "only a": 400, "only b": 0}
    scene.objects("rare", NOWHERE)
    with pytest.raises(ValueError, match="not of the same objects"):
        disagreement(first, unseen_result(scene).objects, k=100)


def test_unsound_run_lengths_never_reach_the_overlaps() -> None:
    mask = encode(np.ones((1, 4, 4), bool))[0]
    none = np.zeros(0, bool)
    for counts in ("", "!", "o", "0", "0@1", "00000000"):
        with pytest.raises(ValueError, match="mask 0 has unsound run lengths"):
            mask_iou(RunLengths.of([counts]), [], none, (4, 4))
    assert mask_iou(RunLengths.of([mask["counts"]]), [], none, (4, 4))[2].tolist() == [16]


def outcome_of(both: int, first: int, second: int, neither: int) -> Disagreement:
    """Objects of image 1 by who has found them."""
    total = both + first + second + neither
    places = np.arange(total)
    by_first = places < both + first
    by_second = (places < both) | ((both + first <= places) & (places < total - neither))
    return Disagreement(np.ones(total, np.int64), places, by_first, by_second)


def test_objects_are_counted_by_who_has_found_them() -> None:
    counts = outcome_of(both=4, first=3, second=2, neither=1).counts()
    assert counts == {"both": 4, "only_first": 3, "only_second": 2, "neither": 1}


def test_images_with_the_most_disputed_objects_come_first_and_equal_ones_by_id() -> None:
    """Image 5 has one object that only one model finds, 7 has two, 8 has one, 9 has none."""
    image_ids = np.array([5, 5, 7, 7, 7, 8, 9])
    by_first = np.array([1, 0, 1, 0, 0, 0, 1], bool)
    by_second = np.array([1, 1, 0, 1, 0, 1, 1], bool)
    outcome = Disagreement(image_ids, np.arange(7), by_first, by_second)
    assert outcome.most_disputed(5) == [7, 5, 8]
    assert outcome.most_disputed(2) == [7, 5]


def test_objects_differ_if_their_images_or_their_indices_do() -> None:
    def ranks(image_ids: list[int], indices: list[int]) -> ObjectRanks:
        two = np.array([1, 1])
        return ObjectRanks(np.array(image_ids), np.array(indices), two, np.ones((2, 10), np.uint16))

    first = ranks([1, 2], [0, 0])
    assert disagreement(first, ranks([1, 2], [0, 0]), k=10).counts()["both"] == 2
    for other in (ranks([1, 3], [0, 0]), ranks([1, 2], [0, 1])):
        with pytest.raises(ValueError, match="not of the same objects"):
            disagreement(first, other, k=10)


def test_many_images_that_are_disputed_alike_stay_in_the_order_of_their_ids() -> None:
    """Of 300 images, every third has one such object, two, or three."""
    image_ids = np.repeat(np.arange(300), 1 + np.arange(300) % 3)
    yes = np.ones(len(image_ids), bool)
    order = Disagreement(image_ids, image_ids, yes, ~yes).most_disputed(300)
    assert order == [*range(2, 300, 3), *range(1, 300, 3), *range(0, 300, 3)]


def test_pictures_show_the_objects_of_their_image_and_boxes_where_there_is_no_mask() -> None:
    """One object has only a box; the mask of the other is half its box, cut off at the border."""
    wide = {"bbox": [20, 30, 40, 10]}
    high = {"bbox": [190, 40, 20, 50], "segmentation": [[195, 40, 210, 40, 210, 90, 195, 90]]}
    inputs: Any = SimpleNamespace(objects={10: [wide, high], 11: [{"bbox": [0, 0, 90, 90]}]})
    by_first = np.array([True, False, True])
    outcome = Disagreement(np.array([10, 10, 11]), np.array([0, 1, 0]), by_first, ~by_first)
    grey = np.full((100, 200, 3), 100, np.uint8)
    row = disagreement_row(grey, inputs, 10, outcome, ["a", "b"])
    seen = {title: np.argwhere((picture != grey).any(axis=2)) for title, picture in row.items()}
    assert {title: len(pixels) for title, pixels in seen.items()} == {
        "evaluated objects": 40 * 10 + 5 * 50,
        "only a": 40 * 10,
        "only b": 5 * 50,
    }
    assert seen["only a"].min(axis=0).tolist() == [30, 20]
    assert seen["only b"].min(axis=0).tolist() == [40, 195]
