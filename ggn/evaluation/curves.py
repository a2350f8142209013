"""Recall against the number of proposals: as data, and as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.pictures import save_figure

RecallCurve = list[tuple[int, float]]
"""(k, AR_k) for every budget."""


def write_curves(path: Path, curves: Mapping[str, RecallCurve], title: str) -> None:
    """Write a PNG with a line for each name; curves without points are left out.

    Args:
        path: path of the PNG; written under a temporary name and renamed.
        curves: points by name, as `report.recall_curve` returns them.
        title: should state the protocol.
    """
    figure = Figure(figsize=(6, 4), layout="constrained", dpi=120)
    axes = figure.subplots()
    for name, points in curves.items():
        if points:
            axes.plot(*np.array(points).T, marker="o", markersize=3, label=name)
    axes.set(xscale="log", ylim=(0, 1), title=title)
    axes.set(xlabel="detections per image (k)", ylabel="average recall, IoU 0.50:0.95")
    axes.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS], rotation=60, fontsize=8)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if any(curves.values()):
        axes.legend()
    save_figure(path, figure)
