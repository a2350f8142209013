"""The batches of a training, from the step on that it has reached."""

import os
import sys
from collections.abc import Callable
from multiprocessing.queues import Queue
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from ggn.engine.draws import DrawOrder, Draws
from ggn.engine.params import TrainingParams
from ggn.engine.processes import raise_together, require_same

_NO_SHARED_MEMORY = 28
"""Exit status of a reading process that found no room for its batch."""


class Batches(DataLoader[Any]):
    """A loader whose failure to read a sample stops all processes, with the same message."""

    def __iter__(self) -> Any:
        batches = super().__iter__()
        while True:
            try:
                batch, error = next(batches), None
            except StopIteration:
                return
            except Exception as failure:
                batch, error = None, _explained(failure, batches)
            raise_together(error)
            yield batch


def _explained(failure: Exception, batches: Any) -> Exception:
    workers = getattr(batches, "_workers", ())
    if any(worker.exitcode == _NO_SHARED_MEMORY for worker in workers):
        return RuntimeError("a worker of the loader found no shared memory for its batch")
    return failure


def _end_without_shared_memory(_worker: int) -> None:
    """End a worker that has no shared memory for its batch; the training would wait for it."""

    def failed(error: Exception, _batch: Any) -> None:
        if "shared memory" in str(error):
            os._exit(_NO_SHARED_MEMORY)
        sys.stderr.write(f"{error}\n")

    Queue._on_queue_feeder_error = staticmethod(failed)  # type: ignore[attr-defined]


class TrainingData(L.LightningDataModule):
    """The training batches in `DrawOrder`, from the step that the trainer is at."""

    def __init__(
        self,
        samples: Any,
        *,
        params: TrainingParams,
        steps: int,
        seed: int,
        prepare: Callable[[Any, torch.Generator], Any],
        collate: Callable[[list[Any]], Any],
    ) -> None:
        super().__init__()
        self.samples, self.params, self.steps, self.seed = samples, params, steps, seed
        self.prepare, self.collate = prepare, collate

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the remaining steps (Lightning asks after it has resumed)."""
        assert self.trainer is not None  # noqa: S101 - for mypy; Lightning has attached it
        require_same(
            self.trainer.global_step, "the step to go on from; they need one common scratch folder"
        )
        order = DrawOrder(
            len(self.samples),
            self.params.batch_size,
            self.steps,
            self.seed,
            start_step=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return Batches(
            Draws(self.samples, self.seed, self.prepare),
            batch_size=self.params.batch_size // self.trainer.world_size,
            sampler=order,
            num_workers=self.params.workers,
            collate_fn=self.collate,
            worker_init_fn=_end_without_shared_memory,
            persistent_workers=self.params.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
