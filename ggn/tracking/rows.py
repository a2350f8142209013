"""One run per row and recipe of the zoo: its table, curves, pictures and origin."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ggn.evaluation.average_recall import UNDEFINED
from ggn.evaluation.report import recall_curves
from ggn.tracking.backend import ZOO, destination, pending, tracking_uri
from ggn.tracking.journal import Journal
from ggn.tracking.runs import flat, is_tracking

Curves = Mapping[str, Sequence[tuple[int, float]]]


def record_row(
    split: str,
    recipe: str,
    metrics: Mapping[str, float],
    *,
    protocol: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    pictures: Sequence[Path],
) -> None:
    """Record the run of a row, to be delivered with the open run; without MLflow, do nothing.

    The same results of the same params and data are one run, however often they are recorded.

    Args:
        split: the row.
        recipe: baseline or ggn.
        metrics: the row's table, such as `unseen/mask_AR_100`; undefined ones are left out.
        protocol: the evaluation protocol.
        tags: provenance; those that begin with `input.` are hashes of the data.
        params: all sections.
        pictures: files to keep beside the table.
    """
    if not is_tracking():
        return
    inputs = {key: value for key, value in tags.items() if key.startswith("input.")}
    settings = flat(params)
    journal = row_journal(
        f"{split} {recipe}",
        [split, recipe, protocol, dict(metrics), inputs, settings],
        {**tags, "split": split, "recipe": recipe, "protocol": protocol, "source": "ours"},
    )
    journal.params({"protocol": protocol, **settings})
    log_table(journal, metrics, f"{split} {recipe} (protocol: {protocol})")
    for path in pictures:
        journal.artifact(path)
    journal.end("FINISHED")


def log_table(journal: Journal, metrics: Mapping[str, float], title: str) -> None:
    """Log a row's table without undefined metrics, and its recall curves, also as a picture."""
    journal.metrics({key: value for key, value in metrics.items() if value != UNDEFINED})
    curves = recall_curves(metrics)
    for name, points in curves.items():
        for budget, value in points:
            journal.metrics({name: value}, step=budget)
    if curves:
        journal.write_artifact("recall.png", draw_curves(curves, title))


def row_journal(name: str, content: Sequence[Any], tags: Mapping[str, str]) -> Journal:
    """Start the journal of a run of the zoo; the same content gives the same run."""
    text = json.dumps(content, sort_keys=True, default=str)
    return Journal.create(
        pending(),
        experiment=ZOO,
        name=name,
        destination=destination(tracking_uri()),
        tags=tags,
        identity=hashlib.sha256(text.encode()).hexdigest()[:32],
    )


def draw_curves(curves: Curves, title: str) -> bytes:
    """Return a PNG of average recall against the number k of detections per image."""
    figure = Figure(figsize=(6.4, 4.0), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set(xscale="log", xlabel="detections per image, k", ylabel="AR at k", ylim=(0, None))
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    blob = io.BytesIO()
    figure.savefig(blob, format="png", metadata={"Software": None})
    return blob.getvalue()
