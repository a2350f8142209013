"""CPU seconds and bytes per image of every stage at the sizes of the reference, and what follows.

    python benchmarks/capacity.py DATASET

DATASET has COCO's layout. One process, one thread, float32; networks as `affinity: {}` and
`detector: {}` in params.yaml make them, with random weights: time does not depend on them. Where
it would (grouping, masks, bytes), the photograph decides: the affinity map is that of
`benchmarks/grouping.py`, made of its colour gradients, and detections are segments of it, the 1,500
best. Prints Markdown: seconds, bytes, and hours and disk for larger datasets.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grouping import affinity_of

from ggn.affinity.batches import collate as collate_affinity
from ggn.affinity.loss import affinity_loss
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.predict import AffinityPredictor
from ggn.affinity.targets import affinity_targets
from ggn.core.coco import annotations_by_image, read_coco
from ggn.core.masks import from_segmentation
from ggn.data.images import read_image
from ggn.data.params import DataParams
from ggn.data.prepare import prepare
from ggn.data.samples import AffinitySamples, DetectionSamples
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.detector.predict import Detector
from ggn.detector.train import augment, collate
from ggn.engine.backbone import normalise
from ggn.evaluation import evaluate_partitions
from ggn.grouping import FEATURE_NAMES, GroupingParams, candidates
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.publish import write_as_store
from ggn.pseudo_gt.rank import rank_candidates
from ggn.pseudo_gt.select import select
from ggn.store.parquet import ImageInstances
from ggn.store.shards import ShardWriter, shard_path

BACKBONE = {"weights": None, "norm": "batch", "frozen_stages": 0}
AFFINITY = AffinityParams.model_validate({"backbone": {"weights": None}, "precision": "32-true"})
DETECTOR = {"backbone": BACKBONE, "precision": "32-true"}
MANY = GroupingParams(max_candidates=1500, nms_iou=0.95, union_share=1.0)
"""What gives as many segments as a detector gives detections."""
DATASETS = {  # training and validation images; whether the training images are annotated
    "COCO": (118_287, 5_000, True),
    "LVIS": (100_170, 19_809, True),
    "1.2 million": (1_200_000, 5_000, False),
    "100 million": (100_000_000, 5_000, False),
}
"""Without annotations as the row `imagenet`: the affinity network is that of another dataset."""

Seconds = dict[str, float]


class Clock:
    """CPU seconds per image by stage."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}

    def __call__(
        self, name: str, images: int, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        """Return the function's result; its time is part of what a stage takes for `images`."""
        start = time.process_time()
        result = function(*arguments)
        spent = time.process_time() - start
        self.seconds[name] = self.seconds.get(name, 0) + spent / images
        return result


def train(clock: Clock, dataset: dict[str, Any], folder: Path) -> None:
    """Take one step of each training on each image, a batch of one, weights left as they are."""
    affinity, detector = AffinityNet(AFFINITY), MaskRCNN(DetectorParams.model_validate(DETECTOR))
    generator = torch.Generator().manual_seed(0)
    samples, objects = AffinitySamples(dataset, folder), DetectionSamples(dataset, folder)

    def step_affinity(index: int) -> None:
        batch = collate_affinity([samples[index]], None)
        logits = affinity(normalise(batch.images))
        affinity_loss(logits, *affinity_targets(batch.labels), AFFINITY.pos_weight).backward()

    def step_detector(index: int) -> None:
        batch = collate([augment(objects[index], generator, detector.params)])
        torch.stack(list(detector.losses(batch, generator).values())).sum().backward()

    for index in range(len(samples)):
        clock("train_affinity, per epoch", len(samples), step_affinity, index)
        clock("train_detector, per epoch", len(samples), step_detector, index)


def write(
    folder: Path, items: list[ImageInstances], names: Any, clock: Clock, stage: str
) -> tuple[int, int]:
    """Write a store; return the bytes of its log and its shard."""
    path, log = shard_path(folder, 0, 1), folder.with_suffix(".log")
    writer = ShardWriter(log, path, [item.image_id for item in items], names)
    for item in items:
        clock(f"{stage}: log", len(items), writer.append, item)
    clock(f"{stage}: shard", len(items), writer.finish)
    return log.stat().st_size, path.stat().st_size


def infer(clock: Clock, dataset: dict[str, Any], folder: Path) -> None:
    """Let the networks predict on each image."""
    network = AffinityPredictor(AffinityNet(AFFINITY), precision="32-true")
    detector, oln = (
        Detector(
            MaskRCNN(DetectorParams.model_validate({**DETECTOR, "heads": heads})),
            precision="32-true",
        )
        for heads in ("mask_rcnn", "oln")
    )
    images, rng = dataset["images"], np.random.default_rng(0)
    for image in images:
        file = folder / image["file_name"]
        pixels = clock("extract_regions: affinity", len(images), read_image, file)
        clock("extract_regions: affinity", len(images), network.predict, pixels)
        corners = rng.uniform(0, min(pixels.shape[:2]) / 2, (100, 2))
        boxes = np.hstack([corners, corners + 60]).astype(np.float32)
        clock("score_candidates (`rank: oln`)", len(images), oln.rate_boxes, pixels, boxes)
        clock("predict: detector", len(images), detector.predict, pixels)


def group(
    clock: Clock, dataset: dict[str, Any], folder: Path
) -> tuple[list[ImageInstances], list[ImageInstances], list[Any]]:
    """Return the candidates of each image, as many segments as detections, and the selection."""
    images, annotated = dataset["images"], annotations_by_image(dataset)
    found, detections, selected = [], [], []
    for image in images:
        size_hw, file = (image["height"], image["width"]), folder / image["file_name"]
        affinity = affinity_of(file, size_hw)
        find = partial(candidates, affinity, GroupingParams())
        segments = clock("extract_regions: grouping", len(images), find)
        item = ImageInstances(image["id"], segments.instances, segments.features)
        masks = [from_segmentation(a["segmentation"], size_hw) for a in annotated[image["id"]]]

        def choose(item: ImageInstances = item, masks: list[Any] = masks) -> Any:
            ranked = rank_candidates(item, FEATURE_NAMES, "extracted", {})
            return select(ranked, masks, PseudoGtParams())

        selected.append((image["id"], *clock("select_pseudo_gt", len(images), choose)))
        found.append(item)
        many = candidates(affinity, MANY).instances
        detections.append(ImageInstances.without_features(image["id"], many))
    return found, detections, selected


def first(dataset: dict[str, Any], images: int) -> dict[str, Any]:
    """Return the first annotated images of a dataset."""
    annotated = annotations_by_image(dataset)
    chosen = [image for image in dataset["images"] if annotated[image["id"]]][:images]
    kept = [record for image in chosen for record in annotated[image["id"]]]
    return {**dataset, "images": chosen, "annotations": kept}


def prepared_dataset(
    clock: Clock, source: Path, work: Path
) -> tuple[dict[str, Any], Path, Seconds]:
    """Prepare a dataset; return its training part, the images' folder and bytes per image."""
    params = DataParams(root=str(source), drop_faulty=True)
    split = clock("prepare", 1, prepare, params, work / "prepared", work / "training.json")
    whole = read_coco(work / "training.json")
    count = len(whole["images"]) + split.counts["val_images"]
    clock.seconds["prepare"] /= count
    files = [work / "training.json", *work.glob("prepared/*.json")]
    records = len(json.dumps(whole["images"])) / len(whole["images"])
    size = {
        "prepared and training/baseline.json": sum(path.stat().st_size for path in files) / count,
        "of it the image's record alone": records,
    }
    return whole, Path(split.train_images), size


def measure(arguments: argparse.Namespace, work: Path) -> tuple[Seconds, dict[str, float]]:
    """Return CPU seconds and bytes per image."""
    clock = Clock()
    whole, folder, records = prepared_dataset(clock, arguments.dataset, work)
    few, dataset = first(whole, arguments.few), first(whole, arguments.images)
    train(clock, few, folder)
    infer(clock, few, folder)
    found, detections, selected = group(clock, dataset, folder)
    images = len(found)
    log, shard = write(work / "candidates", found, FEATURE_NAMES, clock, "extract_regions")
    many_log, many = write(work / "predictions", detections, [], clock, "predict")
    write_as_store(dataset, selected, work / "pseudo_gt", work / "ggn.json")
    partitions = {"all": None, "seen": [1], "unseen": [2]}
    evaluate = partial(evaluate_partitions, dataset, work / "predictions", partitions)
    clock("evaluate", images, evaluate)
    pseudo = sum(path.stat().st_size for path in (work / "pseudo_gt").iterdir())
    numbers = [sum(len(item.instances) for item in items) / images for items in (found, detections)]
    sizes = {
        f"candidates, {numbers[0]:.0f} per image": shard,
        "their log, while a shard is at work": log,
        f"pseudo_gt, a store, {PseudoGtParams().top_k} per image": pseudo,
        f"predictions, {numbers[1]:.0f} per image": many,
        "their log, while a shard is at work ": many_log,
    }
    per_image = {name: value / images for name, value in sizes.items()}
    return clock.seconds, {**records, **per_image}


def capacity(seconds: Seconds, sizes: dict[str, float]) -> None:
    """Print core hours and disk for each dataset."""
    affinity, detector = AFFINITY.epochs, DetectorParams().epochs
    sums = {
        stage: sum(value for name, value in seconds.items() if name.startswith(stage))
        for stage in ("extract_regions", "predict:")
    }
    train_affinity, train_detector = (
        seconds[f"{stage}, per epoch"] for stage in ("train_affinity", "train_detector")
    )
    both = seconds["prepare"]
    rows = {  # seconds per training image, if annotated and otherwise, and per validation image
        "prepare": (both, both, both),
        f"train_affinity, {affinity} epochs": (affinity * train_affinity, 0, 0),
        "extract_regions": (sums["extract_regions"],) * 2 + (0,),
        "select_pseudo_gt": (seconds["select_pseudo_gt"],) * 2 + (0,),
        f"train_detector, {detector} epochs": (detector * train_detector,) * 2 + (0,),
        "predict": (0, 0, sums["predict:"]),
        "evaluate": (0, 0, seconds["evaluate"]),
    }
    table("core hours", rows, 3600)
    prepared, record, candidates_, _, pseudo, predictions, _ = sizes.values()
    outputs = {
        "prepared and training/baseline.json": (prepared, record, prepared),
        "candidates": (candidates_,) * 2 + (0,),
        "pseudo_gt": (pseudo,) * 2 + (0,),
        "predictions": (0, 0, predictions),
    }
    table("GB", outputs, 1e9)


def table(title: str, rows: dict[str, tuple[float, float, float]], unit: float) -> None:
    """Print what each dataset needs, in a unit, given what its images need."""
    print(f"\n| {title} | " + " | ".join(DATASETS) + " |\n|---" + "|---:" * len(DATASETS) + "|")
    for name, (annotated, other, validation) in rows.items():
        cells = [
            ((annotated if known else other) * images + validation * more) / unit
            for images, more, known in DATASETS.values()
        ]
        print(f"| {name} | " + " | ".join(f"{cell:,.1f}" for cell in cells) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--few", type=int, default=4, help="Images for the networks.")
    parser.add_argument("--images", type=int, default=64, help="Images for what follows them.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    work = Path(tempfile.mkdtemp())
    try:
        per_image, sizes = measure(arguments, work)
    finally:
        shutil.rmtree(work)
    print("| stage | CPU seconds per image |\n|---|---:|")
    for name, value in per_image.items():
        print(f"| {name} | {value:.3f} |")
    print("\n| output | bytes per image |\n|---|---:|")
    for name, value in sizes.items():
        print(f"| {name} | {value:,.0f} |")
    capacity(per_image, sizes)


if __name__ == "__main__":
    main()
