"""Training the affinity network on annotated images."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from ggn.affinity.batches import AffinityBatch, augment, collate
from ggn.affinity.loss import affinity_loss, balanced_affinity_loss
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.targets import affinity_targets
from ggn.core.coco import annotations_by_image
from ggn.data.samples import AffinitySamples
from ggn.engine.backbone import load_backbone, normalise
from ggn.engine.training import Training, initial_weights, train


def train_affinity(
    params: AffinityParams,
    dataset: dict[str, Any],
    images_dir: str | Path,
    out_dir: str | Path,
    scratch_dir: str | Path,
    seed: int,
    logger: Logger | None = None,
    curve: str | Path | None = None,
) -> dict[str, float]:
    """Train on a COCO-style dataset and write `weights.safetensors` and `card.json` to `out_dir`.

    Images without annotated objects always have a loss of exactly 0, so they are left out of the
    batches and counted in the result. `logger` gets the curves `train/loss` and `train/lr` while it
    trains, the JSON file `curve` gets them at the end, in at most 200 points (`Training.curve`). A
    killed run resumes from `scratch_dir` if params, seed and dataset are the same, and ends with
    the same weights and points as an uninterrupted one.

    Returns:
        `loss` (mean of the last 100 steps), `images`, `images_without_objects` and `steps`.

    Raises:
        FloatingPointError: the loss is not finite; the message has the ids of the batch's images.
        ValueError: no image has an annotated object.
    """
    annotated = _with_objects(dataset)
    images = len(annotated["images"])
    if images == 0:
        raise ValueError("no training image has an annotated object that is not a crowd")
    return train(
        AffinityTraining(params, images, seed),
        AffinitySamples(annotated, images_dir),
        kind="affinity",
        dataset=dataset,
        prepare=augment,
        collate=partial(collate, crop_size=params.crop_size),
        out_dir=out_dir,
        scratch_dir=scratch_dir,
        logger=logger,
        curve=curve,
    )


class AffinityTraining(Training):
    """One training of an `AffinityNet`: initial weights from the seed, loss, curves."""

    network: AffinityNet

    def __init__(self, params: AffinityParams, images: int, seed: int) -> None:
        super().__init__(params, images, seed)
        self._balanced, self._pos_weight = params.loss == "balanced", params.pos_weight
        with initial_weights(seed):
            self.network = AffinityNet(params)
        if params.backbone.weights is not None:
            load_backbone(self.network.backbone, params.backbone.weights)
        self.network.to(memory_format=torch.channels_last)
        if params.compile:
            self.network.compile()  # in place: the weights keep their names

    def losses(self, batch: AffinityBatch) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        target, weight = affinity_targets(batch.labels)
        logits = self.network(normalise(batch.images))
        if self._balanced:
            return {"affinity": balanced_affinity_loss(logits, target, weight)}
        return {"affinity": affinity_loss(logits, target, weight, self._pos_weight)}


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
