"""Tables and curves of evaluation results, as plain data and as Markdown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from rich.table import Table

from ggn.evaluation.average_recall import UNDEFINED
from ggn.evaluation.bootstrap import Interval
from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.tables import WholeTable

HEADLINES = ("mask_AR_10", "mask_AR_100", "box_AR_100")
"""The metrics that a comparison shows for each partition by default."""


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of two models; None if there are no objects to measure it on."""

    metric: str
    baseline: float | None
    ggn: float | None
    difference: float | None
    """GGN minus baseline."""
    interval: Interval | None = None
    """95 % interval of the difference; None if unknown."""


def comparison_rows(
    baseline: Mapping[str, float],
    ggn: Mapping[str, float],
    metrics: Iterable[str] | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> list[ComparisonRow]:
    """Return rows for `metrics`, by default for all in the baseline's order.

    Args:
        baseline: values by metric.
        ggn: the same.
        metrics: names.
        intervals: intervals of the differences, for the metrics that have one.

    Raises:
        ValueError: one of the two lacks a metric, which is named.
    """
    names = list(baseline) if metrics is None else list(metrics)
    if metrics is None and (extra := [name for name in ggn if name not in baseline]):
        raise ValueError(f"baseline has no metric {extra[0]!r}, which ggn has")
    known = intervals or {}
    return [_row(name, baseline, ggn, known.get(name)) for name in names]


def _row(
    name: str,
    baseline: Mapping[str, float],
    ggn: Mapping[str, float],
    interval: Interval | None,
) -> ComparisonRow:
    for model, results in (("baseline", baseline), ("ggn", ggn)):
        if name not in results:
            raise ValueError(f"{model} has no metric {name!r}; it has {list(results)}")
    first, second = _defined(baseline[name]), _defined(ggn[name])
    difference = None if first is None or second is None else second - first
    return ComparisonRow(name, first, second, difference, interval)


def _defined(value: float) -> float | None:
    return None if value == UNDEFINED else value


def headline_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Return the names of the metrics to show first, of those defined in `metrics`.

    These are `HEADLINES` on unseen and on seen categories, or on all if one of the two has no
    objects.
    """
    names = {
        partition: [
            name
            for headline in HEADLINES
            if metrics.get(name := f"{partition}/{headline}", UNDEFINED) != UNDEFINED
        ]
        for partition in ("unseen", "seen", "all")
    }
    shown = ["unseen", "seen"] if names["unseen"] and names["seen"] else ["unseen", "seen", "all"]
    return [name for partition in shown for name in names[partition]]


def reached(names: Iterable[str], *models: Mapping[str, float]) -> list[str]:
    """Leave out each AR_k at which no model finds more than at the next smaller budget.

    This leaves out budgets beyond the number of detections that the models return.
    """
    larger = {f"AR_{after}": f"AR_{k}" for k, after in pairwise(BUDGETS) if after > 100}
    return [
        name
        for name in names
        if name not in larger or any(m[name] != m[larger[name]] for m in models)
    ]


def without_empty_partitions(metrics: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Leave out the partitions without objects: all their metrics are undefined.

    Args:
        metrics: named `<partition>/<metric>`, as `evaluate_partitions` returns them.

    Returns:
        the metrics of the other partitions, and the names of those left out.
    """
    names = dict.fromkeys(name.partition("/")[0] for name in metrics)
    defined = {name.partition("/")[0] for name, value in metrics.items() if value != UNDEFINED}
    kept = {name: v for name, v in metrics.items() if name.partition("/")[0] in defined}
    return kept, [name for name in names if name not in defined]


def _cells(row: ComparisonRow, digits: int) -> tuple[str, str, str]:
    return _number(row.baseline, digits), _number(row.ggn, digits), difference_text(row, digits)


def difference_text(row: ComparisonRow, digits: int = 3) -> str:
    """Format the difference of a row and its interval: "+0.084 [0.071, 0.097]"."""
    return _number(row.difference, digits, signed=True) + _ends(row.interval, digits)


def _number(value: float | None, digits: int, signed: bool = False) -> str:
    """Format a value; a dash stands for None, and a value that rounds to zero has no sign."""
    if value is None:
        return "–"
    rounded = round(value, digits)
    sign = "+" if signed and rounded > 0 else ""
    return f"{sign}{rounded or 0.0:.{digits}f}"


def _ends(interval: Interval | None, digits: int) -> str:
    """Format an interval as it follows its value: " [0.071, 0.097]"."""
    if interval is None:
        return ""
    low, high = (_number(end, digits) for end in interval)
    return f" [{low}, {high}]"


def recall_curve(metrics: Mapping[str, float], prefix: str = "") -> list[tuple[int, float]]:
    """Return (k, AR_k) for every budget, from the metrics `<prefix>AR_k`; empty if undefined.

    `prefix` is for instance "unseen/mask_".

    Raises:
        ValueError: a metric is missing; it is named.
    """
    names = {budget: f"{prefix}AR_{budget}" for budget in BUDGETS}
    if missing := [name for name in names.values() if name not in metrics]:
        raise ValueError(f"no metric {missing[0]!r}; there are {list(metrics)}")
    points = [(budget, metrics[name]) for budget, name in names.items()]
    return [] if points[0][1] == UNDEFINED else points


def recall_curves(metrics: Mapping[str, float]) -> dict[str, list[tuple[int, float]]]:
    """Return (k, AR_k) under names such as `unseen/mask_AR`, where it is defined."""
    names = sorted(key.removesuffix("_100") for key in metrics if key.endswith("_AR_100"))
    curves = {name: recall_curve(metrics, name.removesuffix("AR")) for name in names}
    return {name: points for name, points in curves.items() if points}


def comparison_table(
    rows: Iterable[ComparisonRow],
    title: str,
    digits: int = 3,
    models: tuple[str, str] = ("baseline", "GGN"),
    caption: str | None = None,
) -> Table:
    """Return the rows as a table for the terminal; the title should state the protocol."""
    rows = list(rows)
    table = WholeTable("metric", title=title, caption=caption)
    difference = "difference [95 %]" if any(row.interval for row in rows) else "difference"
    for heading in (*models, difference):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.metric, *_cells(row, digits))
    return table


def metrics_table(
    metrics: Mapping[str, Mapping[str, float]],
    title: str,
    digits: int = 3,
    intervals: Mapping[str, Mapping[str, Interval]] | None = None,
) -> Table:
    """Return the metrics by partition as a table for the terminal, a column for each partition.

    The title should state the protocol. `intervals` are by partition and metric, as the metrics.
    """
    table = WholeTable("metric", title=title, pad_edge=False)  # so that intervals fit in 80 columns
    for partition in metrics:
        table.add_column(partition, justify="right")
    for name in next(iter(metrics.values())):
        ends = {part: of_part.get(name) for part, of_part in (intervals or {}).items()}
        cells = (
            _number(_defined(values[name]), digits) + _ends(ends.get(part), digits)
            for part, values in metrics.items()
        )
        table.add_row(name, *cells)
    return table


def category_table(
    recall: Mapping[str, Mapping[str, tuple[int, float]]], budget: int, title: str, digits: int = 3
) -> Table:
    """Return recall by category, best first, as a table for the terminal.

    Args:
        recall: partition -> category name -> number of objects, AR_k; as
            `ranks.ObjectRanks.category_recall` says them.
        budget: the k of AR_k.
        title: should state the protocol.
        digits: decimals of the recall.
    """
    table = WholeTable("category", "evaluated as", title=title)
    table.add_column("objects", justify="right")
    table.add_column(f"AR_{budget}", justify="right")
    for partition, categories in recall.items():
        for name, (count, value) in sorted(categories.items(), key=lambda item: -item[1][1]):
            table.add_row(name, partition, str(count), f"{value:.{digits}f}")
    return table
