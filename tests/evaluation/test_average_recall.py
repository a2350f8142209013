"""From matches to named numbers: tallies by hand, names that cannot shift."""

import numpy as np
import pytest

from ggn.evaluation.average_recall import (
    AREA_RANGES,
    METRIC_NAMES,
    RECALL_LEVELS,
    Tally,
    summarize,
    within_ranges,
)
from ggn.evaluation.budget import BUDGETS, spend
from ggn.evaluation.matching import Matches

MISS = [False] * 10
HIT = [True] * 10


def add(
    tally: Tally, *columns: list[bool], n_objects: int, scores: list[float], ignored: bool = False
) -> None:
    """Add an image whose detections, best first, have these flags per threshold.

    Those that do not hit are false alarms, unless they are ignored.
    """
    bits = np.array([[sum(1 << t for t, flag in enumerate(c) if flag) for c in columns]], np.uint16)
    yes, no = np.ones(bits.shape, bool), np.zeros(bits.shape, bool)
    matches = Matches(bits, bits, no, np.zeros((1, 10, 0), np.int32))
    rated = np.array(scores, np.float64)
    (spent,) = spend(matches, rated, yes, yes, yes if ignored else no, precision_budget=100)
    tally.add(spent, n_objects)


def tally(*columns: list[bool], n_objects: int, scores: list[float] | None = None) -> Tally:
    """A tally of one image whose detections, best first, have these flags per threshold."""
    tally = Tally()
    falling = np.linspace(1, 0, len(columns)).tolist()
    add(tally, *columns, n_objects=n_objects, scores=scores or falling)
    return tally


def metrics_of(all_sizes: Tally, **others: Tally) -> dict[str, float]:
    return summarize([{size: others.get(size, all_sizes) for size in AREA_RANGES}], True)


def test_names_are_those_of_the_tables() -> None:
    assert (
        *("AR_10", "AR_20", "AR_30", "AR_50", "AR_100", "AR_300", "AR_500", "AR_1000", "AR_1500"),
        *("AR_s_100", "AR_m_100", "AR_l_100"),
        *("AP", "AP_50", "AP_75", "AP_s", "AP_m", "AP_l"),
    ) == METRIC_NAMES
    assert tuple(metrics_of(tally(HIT, n_objects=1))) == METRIC_NAMES


@pytest.mark.parametrize("rank", [1, *BUDGETS, *(budget + 1 for budget in BUDGETS)])
def test_a_hit_at_a_rank_counts_from_the_budget_that_holds_it(rank: int) -> None:
    results = metrics_of(tally(*[MISS] * (rank - 1), HIT, n_objects=1))
    assert {k: results[f"AR_{k}"] for k in BUDGETS} == {k: float(rank <= k) for k in BUDGETS}


def test_recall_is_the_mean_over_iou_thresholds() -> None:
    results = metrics_of(tally([True] * 4 + [False] * 6, n_objects=1))  # hits at 0.50 … 0.65
    assert results["AR_10"] == pytest.approx(0.4)


def test_recall_is_over_all_objects_of_all_images_and_each_image_has_its_own_budget() -> None:
    all_images = Tally()
    for _ in range(20):  # 20 hits, although the smallest budget is 10
        add(all_images, HIT, n_objects=1, scores=[0.5])
    for _ in range(20):  # objects, but no detections
        add(all_images, n_objects=1, scores=[])
    assert metrics_of(all_images)["AR_10"] == 0.5


def test_precision_by_hand() -> None:
    # Hit, miss, hit of two objects: precision 1 up to recall 0.5 (51 levels), then 2/3 (50 levels).
    results = metrics_of(tally(HIT, MISS, HIT, n_objects=2))
    assert results["AP"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_precision_is_interpolated_from_the_right() -> None:
    # Precisions at the hits are 1/2 and 2/3: the better later one holds for the earlier level, too.
    results = metrics_of(tally(MISS, HIT, HIT, n_objects=2))
    assert results["AP"] == pytest.approx(2 / 3)


def test_ap_50_and_ap_75_are_single_thresholds() -> None:
    results = metrics_of(tally([True] * 5 + [False] * 5, n_objects=1))  # 0.50 … 0.70
    assert results["AP_50"] == pytest.approx(1)
    assert results["AP_75"] == 0
    results = metrics_of(tally([True] * 6 + [False] * 4, n_objects=1))  # 0.50 … 0.75
    assert results["AP_75"] == pytest.approx(1)
    assert results["AP"] == pytest.approx(0.6)


def test_detections_are_ordered_by_score_over_images() -> None:
    images = Tally()
    add(images, MISS, n_objects=0, scores=[0.3])  # a false alarm in the first image
    add(images, HIT, n_objects=1, scores=[0.7])  # a better scored hit in the second
    assert metrics_of(images)["AP"] == pytest.approx(1)


def test_of_equal_scores_the_first_image_comes_first() -> None:
    assert metrics_of(tally(MISS, HIT, n_objects=1, scores=[0.5, 0.5]))["AP"] == pytest.approx(
        1 / 2
    )
    assert metrics_of(tally(HIT, MISS, n_objects=1, scores=[0.5, 0.5]))["AP"] == pytest.approx(1)


def test_ignored_detections_are_no_false_alarms() -> None:
    images = Tally()
    add(images, MISS, HIT, n_objects=1, scores=[0.9, 0.8], ignored=True)
    assert metrics_of(images)["AP"] == pytest.approx(1)


def test_undefined_is_minus_one_for_each_size_by_itself() -> None:
    empty = tally(MISS, n_objects=0)
    results = metrics_of(tally(HIT, n_objects=1), m=empty)
    assert results["AR_m_100"] == results["AP_m"] == -1
    assert results["AR_s_100"] == results["AR_l_100"] == results["AR_100"] == 1
    assert set(metrics_of(empty).values()) == {-1}
    assert set(summarize([], True).values()) == {-1}


def test_objects_without_detections_score_zero() -> None:
    assert set(metrics_of(tally(n_objects=3)).values()) == {0}


def test_each_size_has_its_own_value() -> None:
    sizes = {
        "s": tally(HIT, n_objects=1),
        "m": tally(HIT, MISS, n_objects=2),
        "l": tally(HIT, n_objects=4),
    }
    results = metrics_of(tally(HIT, n_objects=8), **sizes)
    assert [results[f"AR_{size}_100"] for size in "sml"] == [1, 1 / 2, 1 / 4]
    assert results["AR_100"] == 1 / 8
    assert [results[f"AP_{size}"] for size in "sml"] == pytest.approx([1, 51 / 101, 26 / 101])


def test_mean_over_comparisons_skips_those_without_objects() -> None:
    comparisons = [
        dict.fromkeys(AREA_RANGES, tally(HIT, n_objects=n_objects)) for n_objects in (1, 4, 0)
    ]
    results = summarize(comparisons, has_precision=False)
    assert results["AR_10"] == (1 + 1 / 4) / 2
    assert results["AP"] == -1


def test_bounds_of_sizes_belong_to_both() -> None:
    areas = np.array([0, 1023.9, 1024, 1024.1, 9216, 9216.5, 1e10, 1.1e10])
    in_all, small, medium, large = within_ranges(areas).astype(int).tolist()
    assert in_all == [1, 1, 1, 1, 1, 1, 1, 0]
    assert small == [1, 1, 1, 0, 0, 0, 0, 0]
    assert medium == [0, 0, 1, 1, 1, 0, 0, 0]
    assert large == [0, 0, 0, 0, 1, 1, 1, 0]


def test_recall_levels_are_those_of_coco() -> None:
    np.testing.assert_allclose(RECALL_LEVELS, np.arange(101) / 100)
