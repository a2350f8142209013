"""Matching of one image: worked examples, then pycocotools' box overlaps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from ggn.evaluation.matching import IOU_THRESHOLDS, Matches, at_thresholds, box_iou_xywh, match


def matches_of(
    iou: list[list[float]],
    *,
    crowd: list[bool] | None = None,
    counted: list[bool] | None = None,
    frees: list[bool] | None = None,
    present: list[bool] | None = None,
    takes_part: list[bool] | None = None,
) -> Matches:
    """One view; by default every object is present and counts, and every detection takes part."""
    overlaps = np.array(iou, np.float64)
    n_detections, n_objects = overlaps.shape
    return match(
        overlaps,
        np.array(crowd or [False] * n_objects),
        present=np.array([present or [True] * n_objects]),
        counted=np.array([counted or [True] * n_objects]),
        frees=np.array([frees or [False] * n_objects]),
        takes_part=np.array([takes_part or [True] * n_detections]),
    )


def test_thresholds_are_those_of_coco() -> None:
    np.testing.assert_allclose(
        IOU_THRESHOLDS, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95], atol=1e-12
    )


def test_detection_hits_up_to_its_iou() -> None:
    matches = matches_of([[0.62]])
    assert matches.hit[0, :, 0].tolist() == [True] * 3 + [False] * 7  # 0.50, 0.55, 0.60


def test_iou_on_the_threshold_is_enough() -> None:
    assert matches_of([[0.5]]).hit[0, :, 0].tolist() == [True] + [False] * 9


def test_object_goes_to_the_better_scored_detection_although_the_next_overlaps_more() -> None:
    matches = matches_of([[0.6], [0.9]])
    at_half, at_75 = matches.hit[0, 0], matches.hit[0, 5]
    assert at_half.tolist() == [True, False]
    assert at_75.tolist() == [False, True]


def test_detection_takes_the_object_with_the_highest_overlap_and_leaves_the_other() -> None:
    # The first takes object 1, so that object 0 is left for the second.
    matches = matches_of([[0.55, 0.8], [0.6, 0.6]])
    assert matches.hit[0, 0].tolist() == [True, True]


def test_of_equal_overlaps_the_later_object_is_taken() -> None:
    # The second detection reaches object 0 only: it is a hit because object 1 was taken.
    assert matches_of([[0.7, 0.7], [0.6, 0.0]]).hit[0, 0].tolist() == [True, True]
    assert matches_of([[0.7, 0.7], [0.0, 0.6]]).hit[0, 0].tolist() == [True, False]


def test_object_that_counts_goes_before_a_better_overlap_that_does_not() -> None:
    matches = matches_of([[0.5, 0.9]], counted=[True, False], frees=[False, True])
    assert matches.hit[0, :2, 0].tolist() == [True, False]
    assert at_thresholds(matches.matched_at)[0, :, 0].tolist() == [True] * 9 + [
        False
    ]  # 0.55 … 0.90: the other one
    assert matches.freed.tolist() == [[False]]


def test_place_is_freed_by_the_match_at_the_lowest_threshold_once_per_object() -> None:
    matches = matches_of([[0.5], [0.9]], counted=[False], frees=[True])
    assert matches.freed.tolist() == [[True, False]]
    # At 0.55 and above it is the second detection that has found the object.
    assert at_thresholds(matches.matched_at)[0, 1].tolist() == [False, True]


def test_crowd_takes_any_number() -> None:
    matches = matches_of([[0.9], [0.8], [0.7]], crowd=[True], counted=[False])
    assert at_thresholds(matches.matched_at)[0, 0].tolist() == [True, True, True]
    assert not matches.hit.any()


def test_absent_objects_and_detections_match_nothing() -> None:
    assert not matches_of([[0.9]], present=[False]).matched_at.any()
    assert matches_of([[0.9], [0.9]], takes_part=[False, True]).hit[0, 0].tolist() == [False, True]


def test_views_do_not_influence_each_other() -> None:
    everything, nothing = [True, True], [False, False]
    both = match(
        np.array([[0.9, 0.8], [0.6, 0.6]]),
        np.array(nothing),
        present=np.array([everything, [True, False]]),
        counted=np.array([everything, [True, False]]),
        frees=np.array([nothing, nothing]),
        takes_part=np.array([everything, everything]),
    )
    assert both.hit[:, 0].tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nothing_to_match(shape: tuple[int, int]) -> None:
    matches = match(
        np.zeros(shape),
        np.zeros(shape[1], bool),
        present=np.ones((4, shape[1]), bool),
        counted=np.ones((4, shape[1]), bool),
        frees=np.zeros((4, shape[1]), bool),
        takes_part=np.ones((4, shape[0]), bool),
    )
    assert matches.hit.shape == (4, 10, shape[0])
    assert matches.matched_at.shape == (4, shape[0])
    assert not matches.matched_at.any()
    assert matches.freed.shape == (4, shape[0])


def test_box_iou_by_hand() -> None:
    # 10 x 10 against 10 x 8 inside it; half a crowd's area inside a crowd; touching; empty.
    detections = np.array([[0, 0, 10, 8], [5, 0, 10, 10], [10, 0, 5, 5], [3, 3, 0, 0]], float)
    objects = np.array([[0, 0, 10, 10]], float)
    assert box_iou_xywh(detections, objects, np.array([False])).ravel() == pytest.approx(
        [0.8, 1 / 3, 0, 0]
    )
    assert box_iou_xywh(detections, objects, np.array([True])).ravel() == pytest.approx(
        [1, 0.5, 0, 0]
    )


box = st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(0, 30)] * 2)
boxes = st.lists(box, min_size=1, max_size=6)


@settings(deadline=None, max_examples=100)
@given(boxes, boxes, st.randoms(use_true_random=False))
def test_box_iou_is_bit_for_bit_that_of_pycocotools(
    detections: Any, objects: Any, random: Any
) -> None:
    crowd = [random.random() < 0.3 for _ in objects]
    expected = coco_mask.iou(
        np.array(detections), np.array(objects), [int(is_crowd) for is_crowd in crowd]
    )
    got = box_iou_xywh(np.array(detections), np.array(objects), np.array(crowd))
    np.testing.assert_array_equal(got, expected)
