"""The `ggn` command: what a person types outside the pipeline. One module per group of commands."""

from ggn.cli import datasets, photographs, pseudo_gt, zoo
from ggn.cli.app import app, main

__all__ = ["app", "datasets", "main", "photographs", "pseudo_gt", "zoo"]
