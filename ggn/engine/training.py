"""One training from its initial weights to the file of the trained ones, for every network."""

import hashlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from ggn.engine.optimisation import configure_optimizer, scaled_lr, total_steps
from ggn.engine.params import TrainingParams
from ggn.engine.processes import mean_over_processes
from ggn.engine.trainer import (
    StopOnNonFiniteLoss,
    TrainingData,
    clear_scratch,
    fit,
    make_trainer,
    resume_path,
)
from ggn.engine.weights import save_weights

_log = logging.getLogger(__name__)
_LOSS_WINDOW = 100  # steps whose mean loss is reported at the end


class Training(L.LightningModule):
    """A network with its optimiser and its recent losses; subclasses add `training_step`."""

    network: nn.Module

    def __init__(self, params: TrainingParams, images: int, seed: int) -> None:
        super().__init__()
        self.params, self.images, self.seed = params, images, seed
        self.recent_losses: deque[float] = deque(maxlen=_LOSS_WINDOW)
        self.images_seen = 0

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the per-step schedule of the params."""
        return configure_optimizer(self.network, self.params, self.images)

    def note(self, losses: Tensor, images: int) -> Tensor:
        """Remember one step's loss; return its parts (N,), averaged over the processes."""
        parts = mean_over_processes(losses.detach())
        self.recent_losses.append(float(parts.sum()))
        self.images_seen += images * self.trainer.world_size
        return parts

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the window of the reported loss."""
        checkpoint["losses"] = list(self.recent_losses)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the window of the reported loss."""
        self.recent_losses.extend(checkpoint["losses"])


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Draw the random numbers of a network's making from `seed`, then restore the generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def train(
    module: Training,
    samples: Any,
    *,
    kind: str,
    dataset: dict[str, Any],
    prepare: Callable[..., Any],
    collate: Callable[[list[Any]], Any],
    image_ids: Callable[[Any], Sequence[Any]],
    out_dir: str | Path,
    scratch_dir: str | Path,
    logger: Logger | None = None,
) -> dict[str, float]:
    """Train `module` and write `weights.safetensors` and `card.json` to `out_dir`.

    A run that was killed goes on from `scratch_dir` if kind, params, seed and dataset are the same,
    and ends with the weights of an undisturbed one.

    Args:
        module: the training step, the params, the seed.
        samples: map-style dataset of samples.
        kind: what the weights are of, for their card.
        dataset: COCO-style, what the samples were read from.
        prepare: `(sample, generator, params=...)` to an augmented sample.
        collate: list of samples to a batch.
        image_ids: of a batch, for the message if its loss is not finite.
        out_dir: folder of the result.
        scratch_dir: folder of the resume state.
        logger: gets what the module logs.

    Returns:
        `loss` (mean of the last 100 steps), `images`, `images_without_objects` of the dataset and
        `steps`. The images per second go to the log and to `logger`: they are no result.

    Raises:
        FloatingPointError: the loss is not finite; the message has the ids of the batch's images.
    """
    params, seed = module.params, module.seed
    steps = total_steps(params, module.images)
    data = TrainingData(
        samples,
        params=params,
        steps=steps,
        seed=seed,
        prepare=partial(prepare, params=params),
        collate=collate,
    )
    digest = hashlib.sha256(json.dumps(dataset, sort_keys=True).encode()).hexdigest()
    identity = {"kind": kind, "params": params.model_dump(), "seed": seed, "dataset": digest}
    trainer = make_trainer(
        params,
        steps=steps,
        scratch_dir=scratch_dir,
        logger=logger,
        callbacks=[StopOnNonFiniteLoss(image_ids)],
    )
    resume = resume_path(scratch_dir, identity, main=trainer.is_global_zero)
    if logger is not None and trainer.is_global_zero:
        logger.log_hyperparams({"lr_scaled": scaled_lr(params), "processes": trainer.world_size})
    _log.info(
        "%s: %d steps of %d images on %d process(es), learning rate %g",
        *(kind, steps, params.batch_size, trainer.world_size, scaled_lr(params)),
    )
    started = time.monotonic()
    fit(module, data, trainer, resume)
    seconds = time.monotonic() - started
    rate = module.images_seen / seconds
    _log.info("%s: %.1f images/s", kind, rate)
    if logger is not None and trainer.is_global_zero:
        logger.log_metrics({"train/images_per_second": rate}, steps)
    objects = {a["image_id"] for a in dataset["annotations"] if not a.get("iscrowd", 0)}
    metrics = {
        "loss": sum(module.recent_losses) / len(module.recent_losses),
        "images": module.images,
        "images_without_objects": len(dataset["images"]) - len(objects),
        "steps": steps,
    }
    if trainer.is_global_zero:
        card = {"kind": kind, "params": params.model_dump(), "seed": seed, "training": metrics}
        save_weights(module.network, out_dir, card, params.weights_dtype)
        clear_scratch(scratch_dir)
    return metrics
