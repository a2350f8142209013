"""A Lightning logger that writes the metrics of a training to a journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from ggn.tracking.journal import Journal


class JournalLogger(Logger):
    """Writes to the journal of the training's run; it does not end the run."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    @property
    def name(self) -> str:
        """Name of the folder that Lightning would create; nothing is written to it."""
        return "journal"

    @property
    def version(self) -> str:
        """Name of the run."""
        return self._journal.folder.name

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of a step."""
        self._journal.metrics(metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(  # type: ignore[override]  # ours are not a Namespace
        self, params: dict[str, Any], *_: Any, **__: Any
    ) -> None:
        """Log what the training computed itself, such as the scaled learning rate."""
        self._journal.params(params)
