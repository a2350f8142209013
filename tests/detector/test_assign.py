"""Overlaps of boxes, and the objects that they assign to candidates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torch import Tensor

from ggn.detector.assign import (
    aligned_iou,
    assign_by_iou,
    assign_usable,
    pairwise_iou,
    sample_candidates,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- overlap ---


def test_iou_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 10, 10]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [3, 3, 3, 3]])
    # equal; half of each shared: 50 / 150; touching; a point
    assert pairwise_iou(a, b)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0])


def test_boxes_of_less_than_a_pixel_are_measured_like_any_other() -> None:
    box = torch.tensor([[0.0, 0, 0.5, 0.5]])
    half = torch.tensor([[0.0, 0, 0.5, 0.25]])
    for overlap in (pairwise_iou, aligned_iou):
        assert (overlap(box, box).item(), overlap(box, half).item()) == (1, 0.5)


def test_boxes_apart_on_one_axis_or_on_both_do_not_overlap() -> None:
    box = torch.tensor([[0.0, 0, 2, 2]])
    for other in ([3.0, 0, 5, 2], [0.0, 3, 2, 5], [3.0, 3, 5, 5]):
        for overlap in (pairwise_iou, aligned_iou):
            assert overlap(box, torch.tensor([other])).item() == 0


def test_empty_boxes_overlap_nothing_not_even_themselves() -> None:
    point = torch.tensor([[4.0, 4, 4, 4]])
    assert pairwise_iou(point, point).item() == 0
    assert pairwise_iou(torch.zeros((0, 4)), point).shape == (0, 1)


BOXES = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 20)] * 2), min_size=1, max_size=6
)


@settings(deadline=None, max_examples=50)
@given(a=BOXES, b=BOXES)
def test_iou_equals_cocos(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    first, second = (
        torch.tensor([[x, y, x + w, y + h] for x, y, w, h in rows], dtype=torch.float32)
        for rows in (a, b)
    )
    oracle = np.zeros((len(a), len(b)))
    if a and b:
        oracle[:] = coco_mask.iou(np.array(a, float), np.array(b, float), [0] * len(b))
    assert np.allclose(pairwise_iou(first, second), oracle, atol=1e-6)
    count = min(len(a), len(b))
    aligned = aligned_iou(first[:count], second[:count])
    assert np.allclose(aligned, np.diagonal(oracle), atol=1e-6)


# --- assignment ---


def test_assignment_by_hand() -> None:
    iou = torch.tensor(
        [
            [0.8, 0.5, 0.0, 0.2, 0.7],  # object 0
            [0.1, 0.6, 0.0, 0.4, 0.0],  # object 1: its best candidate is number 1
        ]
    )
    assert assign_by_iou(iou, 0.7, 0.3).tolist() == [1, -1, 0, -1, 1]
    assert assign_by_iou(iou, 0.7, 0.3, low_quality_iou=0.3).tolist() == [1, 2, 0, -1, 1]
    # Below the low-quality threshold an object goes without a candidate.
    assert assign_by_iou(iou, 0.7, 0.3, low_quality_iou=0.65).tolist() == [1, -1, 0, -1, 1]


def test_an_iou_of_just_a_limit_is_not_below_it() -> None:
    assert assign_by_iou(torch.tensor([[0.25, 0.75]]), 0.75, 0.25).tolist() == [-1, 1]


def test_an_object_whose_best_candidate_just_reaches_the_limit_takes_it() -> None:
    iou = torch.tensor([[0.25, 0.1], [0.1, 0.2]])
    assert assign_by_iou(iou, 0.75, 0.5, low_quality_iou=0.25).tolist() == [1, 0]


def test_an_object_takes_all_its_equally_good_candidates_and_the_last_object_wins() -> None:
    iou = torch.tensor([[0.4, 0.4, 0.1], [0.4, 0.2, 0.1]])
    assert assign_by_iou(iou, 0.7, 0.3, low_quality_iou=0.3).tolist() == [2, 1, 0]


def test_without_objects_everything_is_background() -> None:
    assert assign_by_iou(torch.zeros((0, 3)), 0.7, 0.3, 0.3).tolist() == [0, 0, 0]
    assert assign_by_iou(torch.zeros((2, 0)), 0.7, 0.3, 0.3).tolist() == []


def test_candidates_that_are_not_usable_leave_an_object_to_the_next_best() -> None:
    iou = torch.tensor([[0.9, 0.4, 0.1]])
    usable = torch.tensor([False, True, True])
    assert assign_usable(iou, usable, 0.7, 0.3, 0.3).tolist() == [-1, 1, 0]
    assert assign_usable(iou, ~usable, 0.7, 0.3, 0.3).tolist() == [1, -1, -1]
    middling = torch.tensor([[0.9, 0.8, 0.5, 0.1]])
    last_three = torch.tensor([False, True, True, True])
    assert assign_usable(middling, last_three, 0.7, 0.3, 0.3).tolist() == [-1, 1, -1, 0]
    assert assign_usable(iou[:0], usable, 0.7, 0.3, 0.3).tolist() == [-1, 0, 0]
    assert assign_usable(iou, usable & False, 0.7, 0.3, 0.3).tolist() == [-1, -1, -1]


def test_an_empty_object_gets_no_candidate() -> None:
    anchors = torch.tensor([[0.0, 0, 8, 8], [4, 4, 12, 12]])
    point = torch.tensor([[6.0, 6, 6, 6]])
    assert assign_by_iou(pairwise_iou(point, anchors), 0.7, 0.3, 0.3).tolist() == [0, 0]


def golden_assignments() -> list[tuple[str, tuple[float, float, float | None]]]:
    return [
        ("rpn_all", (0.7, 0.3, 0.3)),
        ("rpn_inside", (0.7, 0.3, 0.3)),
        ("oln_obj_inside", (0.3, 0.1, 0.3)),
        ("rpn_all_ties", (0.7, 0.3, 0.3)),
        ("rpn_all_nogt", (0.7, 0.3, 0.3)),
        ("rcnn_prop", (0.5, 0.5, None)),
    ]


@pytest.mark.parametrize(("name", "thresholds"), golden_assignments())
def test_assignments_equal_the_reference(
    recorded_file: Callable[[str], Path], name: str, thresholds: tuple[float, float, float | None]
) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    anchors = np.concatenate([golden[f"anchors_{level}"] for level in range(5)])
    candidates = golden["proposals"] if name == "rcnn_prop" else anchors
    if name.endswith("inside"):
        candidates = candidates[golden["inside_border0"]]
    objects = golden["gt_ties" if name.endswith("ties") else "gt_boxes"]
    objects = objects[:0] if name.endswith("nogt") else objects
    iou = pairwise_iou(torch.tensor(objects), torch.tensor(candidates))
    assert np.array_equal(assign_by_iou(iou, *thresholds), golden[f"{name}_gt_inds"])
    if len(objects):
        assert np.allclose(iou.max(dim=0).values, golden[f"{name}_max_iou"], atol=1e-6)


# --- sampling ---


def assigned(positive: int, negative: int, ignored: int) -> Tensor:
    return torch.tensor([1] * positive + [0] * negative + [-1] * ignored)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        (10, 100, (4, 12)),  # 16 places, a quarter for objects
        (2, 100, (2, 14)),  # background fills what objects leave free
        (10, 5, (4, 5)),  # objects don't fill what background leaves free
        (0, 100, (0, 16)),
        (0, 0, (0, 0)),
    ],
)
def test_places_are_shared_between_objects_and_background(
    positive: int, negative: int, expected: tuple[int, int]
) -> None:
    labels = assigned(positive, negative, ignored=7)
    sample = sample_candidates(labels, 16, 0.25, generator())
    assert (len(sample.positive), len(sample.negative)) == expected
    assert (labels[sample.positive] > 0).all()
    assert (labels[sample.negative] == 0).all()
    for indices in sample:
        assert len(set(indices.tolist())) == len(indices)


def test_if_there_are_no_more_than_places_all_are_taken_in_their_order() -> None:
    labels, random = assigned(8, 8, 0), generator(3)
    before = random.get_state()
    sample = sample_candidates(labels, 16, 0.5, random)
    assert sample.positive.tolist() == list(range(8))
    assert sample.negative.tolist() == list(range(8, 16))
    assert torch.equal(random.get_state(), before)


def test_the_sample_follows_the_generator_alone() -> None:
    labels = assigned(50, 500, 5)
    torch.manual_seed(1)
    first = sample_candidates(labels, 32, 0.5, generator(7))
    torch.manual_seed(2)
    again = sample_candidates(labels, 32, 0.5, generator(7))
    other = sample_candidates(labels, 32, 0.5, generator(8))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.positive, other.positive)


def test_every_candidate_can_be_drawn() -> None:
    labels, random = assigned(6, 6, 0), generator()
    drawn = {int(i) for _ in range(60) for i in sample_candidates(labels, 2, 0.5, random).positive}
    assert drawn == set(range(6))
