"""What a run says of its pseudo ground truth before it trains on it."""

from collections.abc import Callable

import pytest

from ggn.core import Instances
from ggn.pseudo_gt.judge import Judgement
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import select

Rectangles = Callable[..., Instances]


def judged(params: PseudoGtParams, rectangles: Rectangles) -> Judgement:
    """A seen object, found by the second candidate, a hidden one by the first, two misses."""
    seen, hidden = rectangles([(0, 0, 3, 3)]).masks, rectangles([(5, 5, 3, 3)]).masks
    ranked = rectangles([(5, 5, 3, 3), (0, 0, 3, 3), (0, 6, 2, 2), (6, 0, 2, 2)])
    judgement = Judgement(params)
    judgement.add(ranked, select(ranked, seen, params)[0], hidden, seen)
    return judgement


def test_the_seen_are_found_by_the_choice_that_knows_nothing_of_them(
    rectangles: Rectangles,
) -> None:
    metrics = judged(PseudoGtParams(top_k=2), rectangles).metrics()
    assert metrics == {
        "pseudo_masks": 2,
        "hidden_objects": 1,
        "seen_objects": 1,
        "precision": 0.5,  # the hidden object and a miss: the seen one was left out
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "mean_best_iou": 1.0,
        "seen_precision": 0.5,  # the hidden object, which nobody knows, and the seen one
        "seen_recall": 1.0,
        "seen_f1": pytest.approx(2 / 3),
        "seen_mean_best_iou": 1.0,
    }
    assert judged(PseudoGtParams(top_k=1), rectangles).metrics()["seen_recall"] == 0


def test_what_there_is_nothing_of_is_left_out(rectangles: Rectangles) -> None:
    judgement = Judgement(PseudoGtParams())
    masks = rectangles([(0, 0, 3, 3)])
    judgement.add(masks, masks, [], [])
    counts = {"pseudo_masks": 1, "hidden_objects": 0, "seen_objects": 0}
    assert judgement.metrics() == counts
    assert judgement.warning() is None, "without annotations nobody can tell"


def test_a_poor_choice_is_told_with_its_numbers_and_the_floor(rectangles: Rectangles) -> None:
    warning = judged(PseudoGtParams(top_k=1), rectangles).warning()
    assert warning is not None
    assert "1 masks find 0 of 1 annotated objects" in warning
    assert "F1 is 0.000, below pseudo_gt.warn_below_f1, 0.05" in warning


@pytest.mark.parametrize(
    ("floor", "told"), [(0.0, False), (0.66, False), (2 / 3, False), (0.67, True)]
)
def test_the_floor_decides_and_hidden_objects_do_not(
    rectangles: Rectangles, floor: float, told: bool
) -> None:
    params = PseudoGtParams(top_k=2, warn_below_f1=floor)
    judgement = judged(params, rectangles)
    assert (judgement.warning() is not None) == told
    judgement.hidden.objects = judgement.hidden.hits = 0
    assert (judgement.warning() is not None) == told
