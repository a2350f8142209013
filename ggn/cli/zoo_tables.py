"""Tables of the zoo for the terminal: its rows, and the numbers of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ggn.evaluation.average_recall import UNDEFINED
from ggn.evaluation.tables import WholeTable
from ggn.zoo.numbers import PUBLISHED
from ggn.zoo.overview import Overview

_COLUMNS = {
    "mask_AR_100": "mask AR@100",
    "box_AR_100": "box AR@100",
    "mask_AP": "mask AP",
    "mask_F1_100": "F1",
}


@dataclass(frozen=True)
class Measured:
    """Numbers of one method in one source, or our measurement of a detector."""

    method: str
    protocol: str
    where: str
    """The data and the source."""
    values: Mapping[str, str]
    """In percent, by metric without its partition, such as `mask_AR_100`."""


def rows_table(rows: Iterable[Overview]) -> Table:
    """Return the rows: published and own numbers."""
    table = WholeTable(title="mask AR@100 in percent, baseline -> GGN")
    for title in ("row", "objects", "published", "own", "protocol of own"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(
            row.split,
            row.partition,
            _percents(row.published_baseline, row.published_ggn),
            _percents(row.own_baseline, row.own_ggn),
            row.protocol or "",
        )
    return table


def numbers_table(split: str, partition: str, own: Measured | None = None) -> Group:
    """Return a table of a row's numbers and their sources: our detector first, then published ones.

    Args:
        split: the row.
        partition: the objects that count, `unseen` or `all`.
        own: our measurement of a detector.
    """
    entries = [*([] if own is None else [own]), *_published(split)]
    places = list(dict.fromkeys(entry.where for entry in entries))
    shown = [name for name in _COLUMNS if any(name in entry.values for entry in entries)]
    table = WholeTable(title=f"{split}: {partition} objects, in percent")
    table.add_column("method", overflow="fold")
    for name in shown:
        table.add_column(_COLUMNS[name], justify="right", no_wrap=True)
    for name in ("protocol", "where"):
        table.add_column(name, no_wrap=True)
    for place, entry in enumerate(entries):
        cells = (entry.values.get(name, "") for name in shown)
        where = f"[{places.index(entry.where) + 1}]"
        table.add_row(
            Text(entry.method),
            *cells,
            entry.protocol,
            Text(where),
            end_section=place == 0 and own is not None,
        )
    lines = (Text(f"[{number}] {place}") for number, place in enumerate(places, 1))
    return Group(table, *lines)


def measured(
    method: str, protocol: str, where: str, partition: str, metrics: Mapping[str, float]
) -> Measured:
    """Return the table row of our measurement; metrics in 0..1, named as in our reports."""
    values = {name: metrics.get(f"{partition}/{name}", UNDEFINED) for name in _COLUMNS}
    shown = {name: f"{100 * v:.1f}" for name, v in values.items() if v != UNDEFINED}
    return Measured(method, protocol, where, shown)


def _published(split: str) -> list[Measured]:
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for number in PUBLISHED:
        if number.split == split:
            note = f"; {number.note}" if number.note else ""
            where = f"{number.measured_on}: {number.source}{note}"
            value = f"{100 * number.value:.1f}"
            if number.lowest is not None:
                value = f"{100 * number.lowest:.1f}-{value}"
            key = (number.method, number.protocol, where)
            found.setdefault(key, {})[number.metric.partition("/")[2]] = value
    return [Measured(*key, values) for key, values in found.items()]


def _percents(baseline: float | None, ggn: float | None) -> str:
    shown = ["-" if value is None else f"{100 * value:.1f}" for value in (baseline, ggn)]
    return "" if shown == ["-", "-"] else " -> ".join(shown)
