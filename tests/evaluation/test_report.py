"""Comparison tables and recall curves."""

import io

import pytest
from rich.console import Console

from ggn.evaluation.average_recall import METRIC_NAMES
from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.comparison import Comparison
from ggn.evaluation.report import (
    ComparisonRow,
    comparison_rows,
    comparison_table,
    headline_metrics,
    metrics_table,
    recall_curve,
)

BASELINE = {"unseen/mask_AR_100": 0.199, "unseen/mask_AR_s_100": -1.0, "unseen/mask_AP": 0.031}
GGN = {"unseen/mask_AP": 0.025, "unseen/mask_AR_100": 0.287, "unseen/mask_AR_s_100": 0.1}


def test_rows_by_hand() -> None:
    first, undefined, last = comparison_rows(BASELINE, GGN)
    gain, loss = (row.difference for row in (first, last))
    assert [gain, loss] == pytest.approx([0.088, -0.006])
    assert first == ComparisonRow("unseen/mask_AR_100", 0.199, 0.287, gain)
    assert undefined == ComparisonRow("unseen/mask_AR_s_100", None, 0.1, None)
    assert last == ComparisonRow("unseen/mask_AP", 0.031, 0.025, loss)


def test_chosen_rows_come_in_the_order_asked_for() -> None:
    names = ["unseen/mask_AP", "unseen/mask_AR_100"]
    assert [row.metric for row in comparison_rows(BASELINE, GGN, names)] == names


@pytest.mark.parametrize("width", [20, 30, 50, 80])
def test_no_terminal_is_too_narrow_for_the_table(width: int) -> None:
    """Cells are folded; put together again, a column has every word and digit."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison_table(comparison_rows(BASELINE, GGN), "budget"))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    rows = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    names, baseline, *_ = (
        "".join(cell.strip() for cell in cells) for cells in zip(*rows, strict=True)
    )
    assert names == "".join(BASELINE)
    assert baseline == "0.199–0.031"


def test_metric_that_one_lacks_is_named() -> None:
    shorter = {"unseen/mask_AP": 0.0}
    with pytest.raises(ValueError, match="ggn has no metric 'unseen/mask_AR_100'"):
        comparison_rows(BASELINE, shorter)
    with pytest.raises(ValueError, match="baseline has no metric 'unseen/mask_AR_100'"):
        comparison_rows(shorter, GGN)
    with pytest.raises(ValueError, match="baseline has no metric 'AR_7'"):
        comparison_rows(BASELINE, GGN, ["AR_7"])


def cells(rows: list[ComparisonRow]) -> list[tuple[str, ...]]:
    """The table's cells, row by row."""
    columns = (column.cells for column in comparison_table(rows, "title").columns)
    return [tuple(map(str, row)) for row in zip(*columns, strict=True)]


def test_table_by_hand() -> None:
    assert cells(comparison_rows(BASELINE, GGN)) == [
        ("unseen/mask_AR_100", "0.199", "0.287", "+0.088"),
        ("unseen/mask_AR_s_100", "–", "0.100", "–"),
        ("unseen/mask_AP", "0.031", "0.025", "-0.006"),
    ]


def test_every_row_of_the_table_shows_the_value_of_its_own_metric() -> None:
    # Published tables were shifted by one name; here each value is told by its name.
    baseline = {name: index / 100 for index, name in enumerate(METRIC_NAMES)}
    ggn = {name: value + 0.5 for name, value in baseline.items()}
    rows = cells(comparison_rows(baseline, ggn))
    for row, (name, value) in zip(rows, baseline.items(), strict=True):
        assert row == (name, f"{value:.3f}", f"{value + 0.5:.3f}", "+0.500")


def test_a_comparison_shows_six_rows() -> None:
    names = [f"{part}/{kind}_{m}" for part in ("all", "seen", "unseen") for kind in ("box", "mask")
             for m in METRIC_NAMES]  # fmt: skip
    six = [
        "unseen/mask_AR_10", "unseen/mask_AR_100", "unseen/box_AR_100",
        "seen/mask_AR_10", "seen/mask_AR_100", "seen/box_AR_100",
    ]  # fmt: skip
    every = dict.fromkeys(names, 0.5)
    assert headline_metrics(every) == six
    no_unseen = every | {name: -1.0 for name in names if name.startswith("unseen")}
    assert headline_metrics(no_unseen) == [
        *six[3:], "all/mask_AR_10", "all/mask_AR_100", "all/box_AR_100",
    ]  # fmt: skip
    boxes = {name: value for name, value in every.items() if "/box" in name}
    assert headline_metrics(boxes) == ["unseen/box_AR_100", "seen/box_AR_100"]


def test_the_interval_follows_its_difference() -> None:
    ends = {"unseen/mask_AR_100": (0.0712, 0.0968)}
    rows = comparison_rows(BASELINE, GGN, intervals=ends)
    assert [row.interval for row in rows] == [(0.0712, 0.0968), None, None]
    assert cells(rows)[0][-1] == "+0.088 [0.071, 0.097]"
    names = dict.fromkeys(("AR_10", "AP"), 0.25)
    table = metrics_table({"all": names}, "title", intervals={"all": {"AR_10": (0.2, 0.3)}})
    assert list(table.columns[1].cells) == ["0.250 [0.200, 0.300]", "0.250"]


def test_what_rounds_to_zero_has_no_sign() -> None:
    tiny = {"up": 0.5 + 1e-9, "down": 0.5 - 1e-9, "same": 0.5, "minus": 0.4}
    rows = comparison_rows(dict.fromkeys(tiny, 0.5), tiny, intervals={"down": (-1e-9, 1e-9)})
    assert [row[-1] for row in cells(rows)] == ["0.000", "0.000 [0.000, 0.000]", "0.000", "-0.100"]


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


def test_a_comparison_says_what_ggn_lowers_beyond_doubt() -> None:
    baseline = {"seen/mask_AR_10": 0.2, "seen/mask_AR_100": 0.386, "unseen/mask_AR_100": 0.1}
    ggn = {"seen/mask_AR_10": 0.19, "seen/mask_AR_100": 0.347, "unseen/mask_AR_100": 0.3}
    ends = {
        "seen/mask_AR_10": (-0.03, 0.01),  # it may have risen
        "seen/mask_AR_100": (-0.0524, -0.021),
        "unseen/mask_AR_100": (0.1, 0.3),
    }
    found = Comparison("budget", {"baseline": baseline, "ggn": ggn}, {"difference": ends})
    assert found.remarks() == [
        "GGN is below the baseline in seen/mask_AR_100: -0.039 [-0.052, -0.021]"
    ]
    touching = {**ends, "seen/mask_AR_100": (-0.05, 0.0)}
    found = Comparison("budget", {"baseline": baseline, "ggn": ggn}, {"difference": touching})
    assert found.remarks() == [], "an interval that reaches 0 proves nothing"


def test_a_comparison_says_that_nothing_is_unseen() -> None:
    metrics = {"seen/mask_AR_100": 0.4}
    found = Comparison("budget", {"baseline": metrics, "ggn": metrics}, {"difference": {}})
    assert found.remarks() == ["no unseen objects: no metrics of them; the gallery shows others"]
