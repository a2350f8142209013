"""One training from its initial weights to the file of the trained ones, for every network."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from ggn.core.coco import write_json
from ggn.engine.batches import TrainingData
from ggn.engine.fit import fit, make_trainer
from ggn.engine.losses import LossWatch
from ggn.engine.optimisation import configure_optimizer, lr_factor, scaled_lr, total_steps
from ggn.engine.params import NO_RESULT, TrainingParams
from ggn.engine.progress import ShowProgress
from ggn.engine.resuming import clear_scratch, resume_path
from ggn.engine.weights import save_weights

_log = logging.getLogger(__name__)


class Training(L.LightningModule):
    """A network with its optimiser and its recent losses; subclasses add `losses`.

    On a GPU the losses are looked at every `log_steps` steps, on a CPU at every step: before
    anything is learned from one that is not finite.
    """

    network: nn.Module

    def __init__(self, params: TrainingParams, images: int, seed: int) -> None:
        super().__init__()
        self.params, self.images, self.seed = params, images, seed
        self.watch = LossWatch(total_steps(params, images))
        self.images_seen = 0

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return the parts of the loss of a batch, scalars by name."""
        raise NotImplementedError

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the per-step schedule of the params."""
        return configure_optimizer(self.network, self.params, self.images)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """Return the sum of the losses of a batch; log it, and its parts, every `log_steps`."""
        losses = self.losses(batch)
        parts = torch.stack(list(losses.values()))
        self.watch.add(self.trainer.global_step, parts.detach(), batch.image_ids)
        self.images_seen += len(batch.images) * self.trainer.world_size
        is_logged = (self.trainer.global_step + 1) % self.params.log_steps == 0
        if is_logged or self.device.type == "cpu":
            values = self.watch.look()
        if is_logged:
            self.log("train/loss", sum(values))
            self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
            names = [f"train/{name}" for name in losses]
            self.log_dict(dict(zip(names, values, strict=True)) if len(names) > 1 else {})
        return parts.sum()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002 - Lightning's signature
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,  # noqa: ARG002
    ) -> None:
        """Limit the norm of the gradient, which Lightning refuses beside a fused optimiser."""
        if gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def on_train_end(self) -> None:
        """Look at the last losses."""
        self.watch.look()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the window of the reported loss, and the curve."""
        checkpoint["losses"] = list(self.watch.recent)
        checkpoint["curve"] = self.watch.curve.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the window of the reported loss, and the curve."""
        self.watch.recent.extend(checkpoint["losses"])
        self.watch.curve.restore(checkpoint["curve"])

    def curve(self) -> list[dict[str, float]]:
        """Return `step`, mean `loss` and `lr` of at most 200 points of the training so far."""
        lr = scaled_lr(self.params)
        return self.watch.curve.points(lambda i: lr * lr_factor(i, self.params, self.images))


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
    out_dir: str | Path,
    scratch_dir: str | Path,
    logger: Logger | None = None,
    curve: str | Path | None = None,
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
        collate: list of samples to a batch, which has `images` and `image_ids`.
        out_dir: folder of the result.
        scratch_dir: folder of the resume state.
        logger: gets what the module logs.
        curve: JSON file that gets `Training.curve`.

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
    recipe = params.model_dump(exclude=NO_RESULT)
    identity = {"kind": kind, "params": recipe, "seed": seed, "dataset": digest}
    trainer = make_trainer(
        params,
        steps=steps,
        scratch_dir=scratch_dir,
        logger=logger,
        callbacks=[ShowProgress(kind, steps, params.batch_size)],
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
    recent = module.watch.recent
    metrics = {
        "loss": sum(recent) / len(recent),
        "images": module.images,
        "images_without_objects": len(dataset["images"]) - len(objects),
        "steps": steps,
    }
    if trainer.is_global_zero:
        card = {"kind": kind, "params": recipe, "seed": seed, "training": metrics}
        save_weights(module.network, out_dir, card, params.weights_dtype)
        if curve is not None:
            write_json(curve, module.curve())
        clear_scratch(scratch_dir)
    return metrics
