"""How far a training is: a bar on a terminal, a line every half minute elsewhere."""

import logging
import shutil
import sys
import time
from typing import Any

import lightning as L
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 30.0
NARROW = 70
"""Columns of a terminal below which only the steps and the time that is left are shown."""

_log = logging.getLogger(__name__)


class ShowProgress(L.Callback):
    """Shows steps, images per second and the time that is left."""

    def __init__(self, kind: str, steps: int, batch_size: int) -> None:
        self._kind, self._steps, self._batch_size = kind, steps, batch_size
        self._first, self._started, self._said = 0, 0.0, 0.0
        self._bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Begin to count."""
        self._first, self._started = trainer.global_step, time.monotonic()
        self._said = self._started
        if sys.stdout.isatty() and trainer.is_global_zero:
            columns: list[ProgressColumn] = [
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("steps, {task.fields[rate]:.1f} images/s,"),
                TimeRemainingColumn(),
                TextColumn("left"),
            ]
            narrow = shutil.get_terminal_size().columns < NARROW
            self._bar = Progress(*(columns[2:5:2] if narrow else columns))
            self._bar.add_task(self._kind, total=self._steps, completed=self._first, rate=0.0)
            self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Show the step."""
        if not trainer.is_global_zero:
            return
        now, step = time.monotonic(), trainer.global_step
        rate = (step - self._first) / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, rate=rate * self._batch_size)
        elif now - self._said >= LINE_SECONDS:
            self._said = now
            left = round((self._steps - step) / max(rate, 1e-9))
            _log.info(
                "%s: step %d of %d, %.1f images/s, %d min %02d s left",
                *(self._kind, step, self._steps, rate * self._batch_size, *divmod(left, 60)),
            )

    def teardown(self, *_: Any, **_named: Any) -> None:
        """Leave the terminal as it was, whatever ended the training."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
