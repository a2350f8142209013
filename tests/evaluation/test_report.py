"""Comparison tables and recall curves."""

import pytest

from ggn.evaluation.average_recall import METRIC_NAMES
from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.report import (
    ComparisonRow,
    comparison_rows,
    headline_metrics,
    recall_curve,
    to_markdown,
)

BASELINE = {"unseen/mask_AR_100": 0.199, "unseen/mask_AR_s_100": -1.0, "unseen/mask_AP": 0.031}
GGN = {"unseen/mask_AP": 0.025, "unseen/mask_AR_100": 0.287, "unseen/mask_AR_s_100": 0.1}


def test_rows_by_hand() -> None:
    first, undefined, last = comparison_rows(BASELINE, GGN)
    assert first == ComparisonRow("unseen/mask_AR_100", 0.199, 0.287, pytest.approx(0.088))
    assert undefined == ComparisonRow("unseen/mask_AR_s_100", None, 0.1, None)
    assert last == ComparisonRow("unseen/mask_AP", 0.031, 0.025, pytest.approx(-0.006))


def test_chosen_rows_come_in_the_order_asked_for() -> None:
    names = ["unseen/mask_AP", "unseen/mask_AR_100"]
    assert [row.metric for row in comparison_rows(BASELINE, GGN, names)] == names


def test_metric_that_one_lacks_is_named() -> None:
    shorter = {"unseen/mask_AP": 0.0}
    with pytest.raises(ValueError, match="ggn has no metric 'unseen/mask_AR_100'"):
        comparison_rows(BASELINE, shorter)
    with pytest.raises(ValueError, match="baseline has no metric 'unseen/mask_AR_100'"):
        comparison_rows(shorter, GGN)
    with pytest.raises(ValueError, match="baseline has no metric 'AR_7'"):
        comparison_rows(BASELINE, GGN, ["AR_7"])


def test_markdown_by_hand() -> None:
    assert to_markdown(comparison_rows(BASELINE, GGN), protocol="budget") == (
        "| metric (budget protocol) | baseline |   GGN | difference |\n"
        "| ------------------------ | -------: | ----: | ---------: |\n"
        "| unseen/mask_AR_100       |    0.199 | 0.287 |     +0.088 |\n"
        "| unseen/mask_AR_s_100     |        – | 0.100 |          – |\n"
        "| unseen/mask_AP           |    0.031 | 0.025 |     -0.006 |\n"
    )


def test_every_row_of_the_table_shows_the_value_of_its_own_metric() -> None:
    # Published tables were shifted by one name; here each value is told by its name.
    baseline = {name: index / 100 for index, name in enumerate(METRIC_NAMES)}
    ggn = {name: value + 0.5 for name, value in baseline.items()}
    lines = to_markdown(comparison_rows(baseline, ggn), "budget").splitlines()[2:]
    for line, (name, value) in zip(lines, baseline.items(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells == [name, f"{value:.3f}", f"{value + 0.5:.3f}", "+0.500"]


def test_headline_metrics_exist() -> None:
    names = headline_metrics(["unseen", "all"])
    assert {name.split("/")[0] for name in names} == {"unseen", "all"}
    assert {name.split("/")[1].split("_", 1)[0] for name in names} == {"mask", "box"}
    assert {name.split("_", 1)[1] for name in names} <= set(METRIC_NAMES)
    assert "unseen/mask_AR_100" in names
    assert len(set(names)) == len(names)


def test_recall_curve_by_hand() -> None:
    metrics = {f"unseen/mask_AR_{k}": k / 2000 for k in BUDGETS} | {"unseen/mask_AR_s_100": 0.9}
    curve = recall_curve(metrics, "unseen/mask_")
    assert curve[0] == (10, 0.005)
    assert dict(curve)[100] == 0.05
    assert [k for k, _ in curve] == [10, 20, 30, 50, 100, 300, 500, 1000, 1500]


def test_recall_curve_of_nothing() -> None:
    assert recall_curve({f"AR_{k}": -1.0 for k in BUDGETS}) == []
    with pytest.raises(ValueError, match="no metric 'seen/box_AR_10'"):
        recall_curve({"AR_10": 0.1}, "seen/box_")
