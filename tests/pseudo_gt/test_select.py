"""Which candidates become pseudo ground truth, and how their quality is counted."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ggn.core import Instances
from ggn.core.masks import decode, mask_iou
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import Quality, objects, select

Rectangles = Callable[..., Instances]
SIZE = (8, 10)


def test_candidates_on_annotations_go_and_the_first_k_of_the_rest_stay(
    rectangles: Rectangles,
) -> None:
    annotated = rectangles([(0, 0, 2, 4), (5, 5, 3, 3)]).masks
    candidates = rectangles(
        [
            (0, 0, 2, 2),  # 4 of the 8 pixels of the first annotation: IoU 0.5, which is too much
            (0, 0, 2, 1),  # 2 of 8: IoU 0.25
            (5, 0, 2, 2),  # apart from both
            (5, 5, 3, 3),  # the second annotation itself
            (0, 6, 2, 2),
            (3, 0, 1, 9),
        ]
    )
    chosen, overlap = select(candidates, annotated, PseudoGtParams(top_k=3))
    assert decode(chosen.masks, SIZE).sum(axis=(1, 2)).tolist() == [2, 4, 4]
    np.testing.assert_array_equal(chosen.scores, np.float32([0.9, 0.8, 0.6]))
    assert overlap.tolist() == [0.25, 0.0, 0.0]


def test_an_image_without_annotations_keeps_its_best(rectangles: Rectangles) -> None:
    candidates = rectangles([(0, 0, 2, 2), (4, 4, 2, 2)])
    chosen, overlap = select(candidates, [], PseudoGtParams(top_k=1))
    assert chosen.masks == candidates.masks[:1]
    assert overlap.tolist() == [0.0]


@pytest.mark.parametrize("annotated", [0, 2])
def test_an_image_without_candidates_gets_none(rectangles: Rectangles, annotated: int) -> None:
    masks = rectangles([(0, 0, 2, 2), (4, 4, 2, 2)]).masks[:annotated]
    chosen, overlap = select(Instances.empty(SIZE), masks, PseudoGtParams())
    assert len(chosen) == len(overlap) == 0
    assert chosen.image_size_hw == SIZE


def test_low_scores_and_small_areas_are_left_out(rectangles: Rectangles) -> None:
    candidates = rectangles([(0, 0, 1, 1), (2, 0, 2, 2), (5, 0, 2, 3)], [0.9, 0.8, 0.5])
    assert select(candidates, [], PseudoGtParams(min_area=2))[0].areas.tolist() == [4, 6]
    assert select(candidates, [], PseudoGtParams(min_area=4))[0].areas.tolist() == [4, 6]
    assert select(candidates, [], PseudoGtParams(min_score=0.5))[0].areas.tolist() == [1, 4, 6]
    assert select(candidates, [], PseudoGtParams(min_score=0.6))[0].areas.tolist() == [1, 4]
    both = PseudoGtParams(min_score=0.6, min_area=2)
    assert select(candidates, [], both)[0].areas.tolist() == [4]


def test_of_two_that_overlap_the_better_ranked_one_is_chosen(rectangles: Rectangles) -> None:
    # The second overlaps the first by 8 of 12 pixels, the third the second by 4 of 16; the fourth
    # touches none.
    candidates = rectangles([(0, 0, 2, 5), (0, 1, 2, 5), (0, 4, 2, 5), (5, 0, 2, 2)])
    for nms_iou, expected in ((0.25, [0, 2, 3]), (0.1, [0, 3]), (0.7, [0, 1, 2, 3])):
        chosen, _ = select(candidates, [], PseudoGtParams(top_k=4, nms_iou=nms_iou))
        assert chosen.masks == [candidates.masks[index] for index in expected]
    chosen, _ = select(candidates, [], PseudoGtParams(top_k=2))
    assert chosen.masks == [candidates.masks[0], candidates.masks[2]]


def test_an_overlap_of_just_the_limit_is_allowed(rectangles: Rectangles) -> None:
    candidates = rectangles([(0, 0, 2, 5), (0, 3, 2, 5)])  # they share 4 of 16 pixels
    for nms_iou, count in ((0.25, 2), (np.nextafter(0.25, 0), 1)):
        assert len(select(candidates, [], PseudoGtParams(nms_iou=float(nms_iou)))[0]) == count


def test_masks_extracted_at_reduced_size_are_compared_at_full_size(rectangles: Rectangles) -> None:
    small = rectangles([(0, 0, 1, 1), (2, 2, 2, 2)], size_hw=(4, 5))
    annotated = rectangles([(0, 0, 2, 2)]).masks  # the first candidate, twice as large
    chosen, _ = select(small, annotated, PseudoGtParams())
    assert chosen.image_size_hw == SIZE
    assert chosen.masks == rectangles([(4, 4, 4, 4)]).masks


bitmaps = arrays(bool, st.tuples(st.integers(0, 6), st.just(4), st.just(5)))


@settings(deadline=None, max_examples=60)
@given(bitmaps, bitmaps, st.integers(1, 4), st.sampled_from([0.3, 0.5, 1.0]))
def test_selection_is_the_first_k_below_the_limit(
    found: np.ndarray, annotated: np.ndarray, top_k: int, limit: float
) -> None:
    candidates = Instances.from_bitmaps(found, np.zeros(len(found)))
    truth = Instances.from_bitmaps(annotated, np.zeros(len(annotated))).masks
    chosen, overlap = select(
        candidates, truth, PseudoGtParams(top_k=top_k, max_annotation_iou=limit)
    )
    expected: list[int] = []
    for index, mask in enumerate(found):
        if mask.any() and all(iou(mask, other) < limit for other in annotated):  # noqa: SIM102
            if all(iou(mask, found[other]) <= 0.2 for other in expected):
                expected.append(index)
    del expected[top_k:]
    assert chosen.masks == [candidates.masks[index] for index in expected]
    worst = [max((iou(found[i], other) for other in annotated), default=0.0) for i in expected]
    assert overlap.tolist() == pytest.approx(worst)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def test_quality_of_a_worked_example(rectangles: Rectangles) -> None:
    """Three pseudo masks on two objects: a hit, a second one on the same object, and a miss."""
    quality = Quality()
    hidden = rectangles([(0, 0, 2, 4), (5, 5, 3, 3)]).masks
    quality.add(rectangles([(0, 0, 2, 3), (0, 1, 2, 3), (5, 5, 1, 3)]), hidden)
    assert quality.metrics() == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 2),
        "f1": pytest.approx(2 / 5),
        "mean_best_iou": pytest.approx((6 / 8 + 3 / 9) / 2),
    }


def test_an_iou_of_one_half_is_a_hit_and_each_object_is_hit_once(rectangles: Rectangles) -> None:
    quality = Quality()
    quality.add(rectangles([(0, 0, 2, 2), (0, 2, 2, 2)]), rectangles([(0, 0, 2, 4)]).masks)
    assert (quality.hits, quality.pseudo, quality.objects) == (1, 2, 1)


def test_a_mask_takes_the_best_object_that_is_still_free(rectangles: Rectangles) -> None:
    quality = Quality()
    truth = rectangles([(0, 0, 4, 4), (0, 0, 4, 5)]).masks
    quality.add(rectangles([(0, 0, 4, 4), (0, 0, 4, 4)]), truth)  # IoU 1 and 0.8, twice
    assert quality.hits == 2


def test_quality_adds_up_over_images_with_nothing_in_them(rectangles: Rectangles) -> None:
    quality = Quality()
    quality.add(Instances.empty(SIZE), [])
    assert set(quality.metrics().values()) == {0.0}
    quality.add(Instances.empty(SIZE), rectangles([(0, 0, 2, 2)]).masks)
    quality.add(rectangles([(0, 0, 2, 2)]), [])
    quality.add(rectangles([(0, 0, 2, 2)]), rectangles([(0, 0, 2, 2)]).masks)
    assert quality.metrics() == dict.fromkeys(("precision", "recall", "f1", "mean_best_iou"), 0.5)


def test_quality_of_two_images_is_that_of_all_their_objects(rectangles: Rectangles) -> None:
    quality = Quality()
    for found in ((0, 0, 2, 4), (0, 0, 2, 2)):  # the object itself; half of it
        quality.add(rectangles([found]), rectangles([(0, 0, 2, 4)]).masks)
    assert (quality.hits, quality.pseudo, quality.objects) == (2, 2, 2)
    assert quality.metrics()["mean_best_iou"] == (1 + 0.5) / 2


def test_objects_are_annotations_with_crowds_only_if_asked_for() -> None:
    """A square without `iscrowd`, a row that is none, and a column that is a crowd."""
    records = [
        {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
        {"segmentation": [[0, 0, 3, 0, 3, 1, 0, 1]], "iscrowd": 0},
        {"segmentation": {"size": [8, 10], "counts": [0, 8, 72]}, "iscrowd": 1},
    ]
    for crowds, areas in ((False, [4, 3]), (True, [4, 3, 8])):
        found = objects(records, SIZE, crowds=crowds)
        assert decode(found, SIZE).sum(axis=(1, 2)).tolist() == areas
    assert len(objects(records, SIZE)) == 2


@settings(deadline=None, max_examples=60)
@given(bitmaps, bitmaps)
def test_hits_are_those_of_greedy_matching(found: np.ndarray, hidden: np.ndarray) -> None:
    selected = Instances.from_bitmaps(found, np.zeros(len(found)))
    truth = Instances.from_bitmaps(hidden, np.zeros(len(hidden))).masks
    quality = Quality()
    quality.add(selected, truth)
    overlap, free, hits = mask_iou(selected.masks, truth), list(range(len(truth))), 0
    for row in overlap:
        best = max(free, key=lambda index: (row[index], -index), default=None)
        if best is not None and row[best] >= 0.5:
            free.remove(best)
            hits += 1
    assert quality.hits == hits
