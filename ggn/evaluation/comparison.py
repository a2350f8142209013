"""Compares a baseline with GGN: metrics, their intervals, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rich.table import Table

from ggn.core.coco import write_json
from ggn.evaluation.average_recall import UNDEFINED
from ggn.evaluation.bootstrap import Interval
from ggn.evaluation.evaluator import CategorySpec
from ggn.evaluation.intervals import HOW, Intervals, compare_partitions
from ggn.evaluation.params import RECIPES, IouType
from ggn.evaluation.report import (
    ComparisonRow,
    comparison_rows,
    comparison_table,
    difference_text,
    headline_metrics,
    recall_curves,
)


@dataclass(frozen=True)
class Comparison:
    """The content of `comparison.json`."""

    protocol: str
    metrics: Mapping[str, Mapping[str, float]]
    """By recipe and name, such as `unseen/mask_AR_100`; -1 where undefined."""
    intervals: Intervals
    """By recipe or "difference", and by name; empty if the file is older than the intervals."""

    @classmethod
    def measured(
        cls,
        tables: Mapping[str, Mapping[str, Any]],
        annotations: Path,
        models: Mapping[str, Path],
        partitions: Mapping[str, CategorySpec],
        iou_types: Sequence[IouType],
    ) -> Self:
        """Add intervals to the known metrics of both recipes.

        Args:
            tables: the metrics of each recipe, with their `protocol`, the same for both.
            annotations: as in `compare_partitions`.
            models: predictions by recipe, as in `compare_partitions`.
            partitions: as in `compare_partitions`; the names are those in the metrics.
            iou_types: those of the metrics.
        """
        (protocol,) = {table["protocol"] for table in tables.values()}
        metrics = {r: {k: v for k, v in t.items() if k != "protocol"} for r, t in tables.items()}
        intervals = compare_partitions(
            annotations, models, partitions, protocol=protocol, iou_types=iou_types
        )
        return cls(protocol, metrics, intervals)

    @classmethod
    def of_report(cls, report: Mapping[str, Any]) -> Self:
        """Read what `report` returned."""
        metrics = {k: v for k, v in report.items() if k not in ("protocol", "intervals")}
        known = report.get("intervals", {})
        intervals = {name: known.get(name, {}) for name in (*metrics, "difference")}
        return cls(report["protocol"], metrics, intervals)

    def report(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        intervals = {**HOW, **self.intervals}
        return {"protocol": self.protocol, **self.metrics, "intervals": intervals}

    def write(self, folder: Path) -> Path:
        """Write `comparison.json`, and of it what DVC shows; return the path of the first.

        `table.json` has the headlines by recipe, `recall.json` the curves: a record for each
        recipe, curve and k.
        """
        headlines = {r: {name: v[name] for name in self.headlines} for r, v in self.metrics.items()}
        points = [
            {"recipe": recipe, "curve": name, "k": k, "AR": value}
            for recipe, values in self.metrics.items()
            for name, curve in recall_curves(values).items()
            for k, value in curve
        ]
        write_json(file := folder / "comparison.json", self.report(), indent=1)
        write_json(folder / "table.json", headlines, indent=1)
        write_json(folder / "recall.json", points)
        return file

    @property
    def headlines(self) -> list[str]:
        """Names of the metrics to show first."""
        return headline_metrics(self.metrics["baseline"])

    def tracked(self, recipe: str) -> dict[str, float]:
        """Return a recipe's defined metrics; headlines also have `NAME_low` and `NAME_high`."""
        values = {k: v for k, v in self.metrics[recipe].items() if v != UNDEFINED}
        return self._with_ends(values, self.intervals[recipe])

    def gains(self) -> dict[str, float]:
        """Return GGN minus baseline where it is defined, with the names of `tracked`."""
        rows = self._rows(list(self.metrics["baseline"]))
        values = {row.metric: row.difference for row in rows if row.difference is not None}
        return self._with_ends(values, self.intervals["difference"])

    def table(self, row: str, file: Path) -> Table:
        """Return the headlines of a row of the zoo as a table; its caption names the full file."""
        rows, title = self._rows(self.headlines), f"{row} (protocol: {self.protocol})"
        return comparison_table(rows, title, caption=f"all metrics: {file}")

    def remarks(self) -> list[str]:
        """Return a sentence for each headline that GGN surely lowered, and for a missing half.

        Surely: the whole interval of the difference is below 0.
        """
        lower = [
            r for r in self._rows(self.headlines) if r.interval is not None and r.interval[1] < 0
        ]
        said = [f"GGN is below the baseline in {r.metric}: {difference_text(r)}" for r in lower]
        if not any(name.startswith("unseen/") for name in self.metrics["baseline"]):
            said.append("no unseen objects: no metrics of them; the gallery shows others")
        return said

    def _rows(self, names: list[str]) -> list[ComparisonRow]:
        baseline, ggn = (self.metrics[recipe] for recipe in RECIPES)
        return comparison_rows(baseline, ggn, names, self.intervals["difference"])

    def _with_ends(
        self, values: dict[str, float], intervals: Mapping[str, Interval]
    ) -> dict[str, float]:
        known = [(name, *intervals[name]) for name in self.headlines if name in intervals]
        lower = {f"{name}_low": low for name, low, _ in known}
        return {**values, **lower, **{f"{name}_high": high for name, _, high in known}}
