"""Tables and curves of evaluation results, as plain data and as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from ggn.evaluation.average_recall import UNDEFINED
from ggn.evaluation.budget import BUDGETS

COMPARED_METRICS = ("AR_10", "AR_100", "AR_s_100", "AR_m_100", "AR_l_100", "AR_1500", "AP", "AP_50")
"""What a comparison shows of each partition and kind of overlap unless asked for more."""


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of two models; None stands for a metric without objects to measure on."""

    metric: str
    baseline: float | None
    ggn: float | None
    difference: float | None
    """GGN minus baseline."""


def comparison_rows(
    baseline: Mapping[str, float], ggn: Mapping[str, float], metrics: Iterable[str] | None = None
) -> list[ComparisonRow]:
    """Rows for `metrics`, by default for all in the baseline's order.

    Raises:
        ValueError: a metric is missing in one of the two; it is named.
    """
    names = list(baseline) if metrics is None else list(metrics)
    if metrics is None and (extra := [name for name in ggn if name not in baseline]):
        raise ValueError(f"baseline has no metric {extra[0]!r}, which ggn has")
    return [_row(name, baseline, ggn) for name in names]


def _row(name: str, baseline: Mapping[str, float], ggn: Mapping[str, float]) -> ComparisonRow:
    for model, results in (("baseline", baseline), ("ggn", ggn)):
        if name not in results:
            raise ValueError(f"{model} has no metric {name!r}; it has {list(results)}")
    first, second = _defined(baseline[name]), _defined(ggn[name])
    difference = None if first is None or second is None else second - first
    return ComparisonRow(name, first, second, difference)


def _defined(value: float) -> float | None:
    return None if value == UNDEFINED else value


def headline_metrics(
    partitions: Sequence[str], iou_names: Sequence[str] = ("mask", "box")
) -> list[str]:
    """Names such as "unseen/mask_AR_100" of what a comparison shows first."""
    return [
        f"{partition}/{iou_name}_{metric}"
        for partition in partitions
        for iou_name in iou_names
        for metric in COMPARED_METRICS
    ]


def without_empty_partitions(metrics: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Leave out the partitions that have no object: nothing of theirs is defined.

    Args:
        metrics: named `<partition>/<metric>`, as `evaluate_partitions` returns them.

    Returns:
        the metrics of the others, and the names of the partitions that were left out.
    """
    names = dict.fromkeys(name.partition("/")[0] for name in metrics)
    defined = {name.partition("/")[0] for name, value in metrics.items() if value != UNDEFINED}
    kept = {name: v for name, v in metrics.items() if name.partition("/")[0] in defined}
    return kept, [name for name in names if name not in defined]


def to_markdown(rows: Sequence[ComparisonRow], protocol: str, digits: int = 3) -> str:
    """The rows as an aligned Markdown table, which also reads as plain text.

    The protocol stands in the heading because a number means nothing without it.
    """
    cells = [
        (f"metric ({protocol} protocol)", "baseline", "GGN", "difference"),
        *(
            (
                row.metric,
                _number(row.baseline, digits),
                _number(row.ggn, digits),
                _number(row.difference, digits, signed=True),
            )
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ruler = [f"{'-' * widths[0]}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [
        f"| {name:<{widths[0]}} | "
        + " | ".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=True))
        + " |"
        for name, *numbers in (cells[0], ruler, *cells[1:])
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def recall_curve(metrics: Mapping[str, float], prefix: str = "") -> list[tuple[int, float]]:
    """(k, AR_k) for every budget, of the metrics named `<prefix>AR_k`; empty if they are undefined.

    `prefix` is for instance "unseen/mask_".

    Raises:
        ValueError: a metric is missing; it is named.
    """
    names = {budget: f"{prefix}AR_{budget}" for budget in BUDGETS}
    if missing := [name for name in names.values() if name not in metrics]:
        raise ValueError(f"no metric {missing[0]!r}; there are {list(metrics)}")
    points = [(budget, metrics[name]) for budget, name in names.items()]
    return [] if points[0][1] == UNDEFINED else points


def comparison_table(
    rows: Iterable[ComparisonRow],
    title: str,
    digits: int = 3,
    models: tuple[str, str] = ("baseline", "GGN"),
) -> Table:
    """Return the rows as a table for the terminal; the title should state the protocol."""
    table = Table("metric", title=title)
    for heading in (*models, "difference"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.metric,
            _number(row.baseline, digits),
            _number(row.ggn, digits),
            _number(row.difference, digits, signed=True),
        )
    return table


def metrics_table(metrics: Mapping[str, Mapping[str, float]], title: str, digits: int = 3) -> Table:
    """Return the metrics by partition as a table for the terminal, a column for each partition.

    The title should state the protocol.
    """
    table = Table("metric", title=title)
    for partition in metrics:
        table.add_column(partition, justify="right")
    for name in next(iter(metrics.values())):
        cells = (_number(_defined(values[name]), digits) for values in metrics.values())
        table.add_row(name, *cells)
    return table


def category_table(
    recall: Mapping[str, Mapping[str, tuple[int, float]]], budget: int, title: str, digits: int = 3
) -> Table:
    """Return recall by category, best first, as a table for the terminal.

    Args:
        recall: partition -> category name -> number of objects, AR_k; as
            `places.ObjectPlaces.category_recall` says them.
        budget: the k of AR_k.
        title: should state the protocol.
        digits: decimals of the recall.
    """
    table = Table("category", "evaluated as", title=title)
    table.add_column("objects", justify="right")
    table.add_column(f"AR_{budget}", justify="right")
    for partition, categories in recall.items():
        for name, (count, value) in sorted(categories.items(), key=lambda item: -item[1][1]):
            table.add_row(name, partition, str(count), f"{value:.{digits}f}")
    return table
