"""The `ggn` command, for work outside the pipeline. One module per group of commands."""

from ggn.cli import (
    datasets,
    evaluation,
    group,
    init,
    predict,
    predictions,
    pseudo_gt,
    tracking,
    zoo,
)
from ggn.cli.app import app, main

__all__ = [
    "app",
    "datasets",
    "evaluation",
    "group",
    "init",
    "main",
    "predict",
    "predictions",
    "pseudo_gt",
    "tracking",
    "zoo",
]
