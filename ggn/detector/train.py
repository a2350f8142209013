"""Trains the detector on annotated images, and on pseudo ground truth if there is any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from ggn.core.coco import annotations_by_image
from ggn.data.colours import RandomInversion
from ggn.data.mask_store import MaskStore
from ggn.data.samples import DetectionSamples
from ggn.data.transforms import RandomHorizontalFlip, ResizeToFit, Target, drop_invisible
from ggn.detector.mask_rcnn import Batch, MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.backbone import load_backbone
from ggn.engine.draws import sample_generator
from ggn.engine.training import Training, initial_weights, train
from ggn.engine.weights import WeightsError, load_weights, save_weights


def train_detector(
    params: DetectorParams,
    dataset: dict[str, Any],
    images_dir: str | Path,
    out_dir: str | Path,
    scratch_dir: str | Path,
    seed: int,
    logger: Logger | None = None,
    initial: Path | None = None,
    pseudo: MaskStore | None = None,
    curve: str | Path | None = None,
) -> dict[str, float]:
    """Train on a COCO-style dataset and write `weights.safetensors` and `card.json` to `out_dir`.

    All images are used, also those without an object: the detector learns from them what is
    background. Categories are ignored, crowds are left out. `logger` gets the curves `train/loss`,
    `train/lr` and each part of the loss while it trains, the JSON file `curve` gets the first two
    at the end, in at most 200 points (`Training.curve`). The training starts from the detector in
    the folder `initial`, if one is given. A killed run resumes from `scratch_dir` if params, seed
    and dataset are the same, and ends with the same weights and points. `pseudo` has further
    objects, read image by image; `dataset` names it, so a training never resumes with other masks.

    Returns:
        `loss` (mean of the last 100 steps), `images`, `images_without_objects` and `steps`.

    Raises:
        FloatingPointError: the loss is not finite; the message has the ids of the batch's images.
        ValueError: there is no image, or no object at all.
    """
    objects = {
        image_id: sum(not a.get("iscrowd", 0) for a in annotations)
        for image_id, annotations in annotations_by_image(dataset).items()
    }
    if pseudo is not None:
        for image_id, count in zip(pseudo.image_ids.tolist(), pseudo.mask_counts, strict=True):
            if image_id in objects:
                objects[image_id] += int(count)
    if sum(objects.values()) == 0:
        raise ValueError(f"there is no object to train on in {len(objects)} training images")
    metrics = train(
        DetectorTraining(params, len(objects), seed, initial),
        DetectionSamples(dataset, images_dir, pseudo=pseudo),
        kind="detector",
        dataset=dataset,
        prepare=augment,
        collate=collate,
        out_dir=out_dir,
        scratch_dir=scratch_dir,
        logger=logger,
        curve=curve,
    )
    return {**metrics, "images_without_objects": sum(n == 0 for n in objects.values())}


def write_untrained(params: DetectorParams, out_dir: Path, seed: int) -> dict[str, float]:
    """Write the initial detector, which is all that a dataset without annotations can give."""
    network = DetectorTraining(params, 1, seed).network
    metrics = {"steps": 0}
    card = {"kind": "detector", "params": params.model_dump(), "seed": seed, "training": metrics}
    save_weights(network, out_dir, card)
    return {**metrics}


class DetectorTraining(Training):
    """One training of a `MaskRCNN`: initial weights from the seed, losses, curves."""

    network: MaskRCNN

    def __init__(
        self, params: DetectorParams, images: int, seed: int, initial: Path | None = None
    ) -> None:
        super().__init__(params, images, seed)
        with initial_weights(seed):
            self.network = MaskRCNN(params)
        if initial is not None:
            self._begin_with(initial)
        elif params.backbone.weights is not None:
            load_backbone(self.network.backbone, params.backbone.weights)
        self.network.to(memory_format=torch.channels_last)
        if params.compile:
            self.network.backbone.compile()  # in place: the weights keep their names

    def _begin_with(self, folder: Path) -> None:
        state, _ = load_weights(folder, "detector")
        try:
            self.network.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsError(f"{folder}: its layers do not fit the params: {error}") from error

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch by name."""
        return self.network.losses(batch, self._generator())

    def _generator(self) -> torch.Generator:
        """Return the generator of this step on this device, which samples regions."""
        trainer = self.trainer
        key = trainer.global_step * trainer.world_size + trainer.global_rank
        seed = sample_generator(self.seed + 2, key).initial_seed()
        return torch.Generator(self.device).manual_seed(seed)


def augment(
    sample: tuple[Tensor, Target], generator: torch.Generator, params: DetectorParams
) -> tuple[Tensor, Target]:
    """Resize a sample to fit `max_size` times a random scale, perhaps mirror it, and invert it.

    Objects that vanish at that size are left out.
    """
    low, high = params.scale_range
    scale = low * (high / low) ** float(torch.rand((), generator=generator))
    longest, shortest = (max(1, round(side * scale)) for side in params.max_size)
    image, target = ResizeToFit((longest, shortest))(*sample)
    if params.flip:
        image, target = RandomHorizontalFlip(generator)(image, target)
    if params.inverted_share > 0:
        image, target = RandomInversion(generator, params.inverted_share)(image, target)
    return image, drop_invisible(target)


def collate(samples: Sequence[tuple[Tensor, Target]]) -> Batch:
    """Collect samples in a batch; the network pads them, because it knows its divisor."""
    targets = [target for _, target in samples]
    return Batch(
        images=[image for image, _ in samples],
        boxes_xyxy=[target["boxes"] for target in targets],
        masks=[target["masks"] for target in targets],
        image_ids=[target["image_id"] for target in targets],
    )
