"""Training the affinity network on annotated images."""

import hashlib
import json
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from ggn.affinity.batches import AffinityBatch, augment, collate
from ggn.affinity.loss import affinity_loss
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import affinity_targets
from ggn.core.coco import annotations_by_image
from ggn.data.samples import AffinitySamples
from ggn.engine.backbone import load_backbone, normalise
from ggn.engine.optimisation import configure_sgd, total_steps
from ggn.engine.trainer import (
    StopOnNonFiniteLoss,
    TrainingData,
    clear_scratch,
    fit,
    make_trainer,
    resume_path,
)
from ggn.engine.weights import save_weights

_LOSS_WINDOW = 100  # steps whose mean loss is reported at the end


def train_affinity(
    params: AffinityParams,
    dataset: dict[str, Any],
    images_dir: str | Path,
    out_dir: str | Path,
    scratch_dir: str | Path,
    seed: int,
    logger: Logger | None = None,
) -> dict[str, float]:
    """Train on a COCO-style dataset and write `weights.safetensors` and `card.json` to `out_dir`.

    Images without an annotated object have a loss of exactly 0, whatever the network says; they
    are left out of the batches and counted in the result. `logger` gets the curves `train/loss`
    and `train/lr`. A run that was killed goes on from `scratch_dir` if params, seed and dataset are
    the same, and ends with the weights of an undisturbed one.

    Returns:
        `loss` (mean of the last 100 steps), `images`, `images_without_objects`, `steps` and
        `images_per_second` (since the last start).

    Raises:
        FloatingPointError: the loss is not finite; the message has the ids of the batch's images.
        ValueError: no image has an annotated object.
    """
    annotated = _with_objects(dataset)
    images = len(annotated["images"])
    if images == 0:
        raise ValueError("no training image has an annotated object that is not a crowd")
    samples = AffinitySamples(annotated, images_dir)
    steps = total_steps(params, images)
    module = AffinityTraining(params, images, seed)
    data = TrainingData(
        samples,
        params=params,
        steps=steps,
        seed=seed,
        prepare=partial(augment, params=params),
        collate=partial(collate, crop_size=params.crop_size),
    )
    resume = resume_path(scratch_dir, _identity(params, dataset, seed))
    trainer = make_trainer(
        params,
        steps=steps,
        scratch_dir=scratch_dir,
        logger=logger,
        callbacks=[StopOnNonFiniteLoss(lambda batch: batch.image_ids)],
    )
    started = time.monotonic()
    fit(module, data, trainer, resume)
    seconds = time.monotonic() - started
    metrics = {
        "loss": sum(module.losses) / len(module.losses),
        "images": images,
        "images_without_objects": len(dataset["images"]) - images,
        "steps": steps,
        "images_per_second": module.images_seen / seconds,
    }
    if trainer.is_global_zero:
        card = {"kind": "affinity", "params": params.model_dump(), "seed": seed}
        save_weights(module.network, out_dir, {**card, "training": metrics})
        clear_scratch(scratch_dir)
    return metrics


class AffinityTraining(L.LightningModule):
    """One training of an `AffinityNet`: initial weights from the seed, loss, optimiser, curves."""

    def __init__(self, params: AffinityParams, images: int, seed: int) -> None:
        super().__init__()
        self._params, self._images = params, images
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = AffinityNet(params)
        if params.backbone.weights is not None:
            load_backbone(self.network.backbone, params.backbone.weights)
        self.network.to(memory_format=torch.channels_last)
        self.losses: deque[float] = deque(maxlen=_LOSS_WINDOW)
        self.images_seen = 0

    def training_step(self, batch: AffinityBatch, _: int) -> Tensor:
        """Return the loss of a batch."""
        target, weight = affinity_targets(batch.labels)
        logits = self.network(normalise(batch.images))
        loss = affinity_loss(logits, target, weight, self._params.pos_weight)
        self.losses.append(float(loss.detach()))
        self.images_seen += len(batch.images) * self.trainer.world_size
        self.log("train/loss", loss.detach())
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def configure_optimizers(self) -> Any:
        """Return SGD and the per-step schedule of the params."""
        return configure_sgd(self.network, self._params, self._images)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the window of the reported loss."""
        checkpoint["losses"] = list(self.losses)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the window of the reported loss."""
        self.losses.extend(checkpoint["losses"])


def _with_objects(dataset: dict[str, Any]) -> dict[str, Any]:
    annotations = annotations_by_image(dataset)
    images = [
        image
        for image in dataset["images"]
        if any(not annotation.get("iscrowd", 0) for annotation in annotations[image["id"]])
    ]
    kept = {image["id"] for image in images}
    return {
        **dataset,
        "images": images,
        "annotations": [a for a in dataset["annotations"] if a["image_id"] in kept],
    }


def _identity(params: AffinityParams, dataset: dict[str, Any], seed: int) -> dict[str, Any]:
    text = json.dumps(dataset, sort_keys=True).encode()
    return {
        "params": params.model_dump(),
        "seed": seed,
        "dataset": hashlib.sha256(text).hexdigest(),
    }
