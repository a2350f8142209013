"""Speed of the detector against torchvision's own Mask R-CNN, of its input, and of the affinity.

    OMP_NUM_THREADS=1 python benchmarks/detector.py ANNOTATIONS IMAGES_DIR

One process; each time is the median over batches of photographs on which all sides take turns, in
float32, on a GPU where there is one. Both detectors have the ResNet-50 with BatchNorm, random
weights, everything learning, one square anchor per location, RoIAlign with two samples per cell and
axis; `adaptive` is ours with as many as the cell has feature cells, as the recipe has it. An
inference ends with the objects' masks at the size of the image: run lengths here, probabilities
there. `input` is the data loader of the training (decoding, resizing, masks), in its process;
`affinity` `predict` against the forward pass of its network on the same tensor.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator

from ggn.affinity import load_affinity
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.core.coco import read_coco
from ggn.data.samples import DetectionSamples
from ggn.detector.mask_rcnn import Batch, MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.detector.predict import Detector
from ggn.detector.train import augment, collate
from ggn.engine.backbone import normalise
from ggn.engine.draws import DrawOrder, Draws
from ggn.engine.weights import save_weights

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LR = 1e-4
Call = Callable[[Batch], object]
Calls = dict[str, Call]


def params(sizes: argparse.Namespace, roi_sampling_ratio: int) -> DetectorParams:
    """Our settings for the comparison."""
    return DetectorParams.model_validate(
        {
            "batch_size": sizes.batch,
            "max_size": sizes.max_size,
            "precision": "32-true",
            "roi_sampling_ratio": roi_sampling_ratio,
            "backbone": {"norm": "batch", "weights": None, "frozen_stages": 0},
            "rpn": {"candidates_per_level": sizes.proposals, "proposals": sizes.proposals},
            "box": {"samples": sizes.samples},
            "detection": {"max_detections": sizes.detections},
        }
    )


def torchvision_model(sizes: argparse.Namespace) -> torch.nn.Module:
    """Torchvision's detector with the same sizes."""
    longest, shortest = sizes.max_size
    limits = {
        f"rpn_{place}_nms_top_n_{mode}": sizes.proposals
        for place in ("pre", "post")
        for mode in ("train", "test")
    }
    return maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=2,
        min_size=shortest,
        max_size=longest,
        rpn_anchor_generator=AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((1.0,),) * 5),
        box_batch_size_per_image=sizes.samples,
        box_detections_per_img=sizes.detections,
        box_score_thresh=0.0,
        box_nms_thresh=0.7,
        **limits,
    ).to(DEVICE)


def loader(dataset: Path, images: Path, settings: DetectorParams, steps: int) -> DataLoader[Batch]:
    """The batches of a training, read in this process."""
    samples = DetectionSamples(read_coco(dataset), images)
    return DataLoader(
        Draws(samples, 0, partial(augment, params=settings)),
        batch_size=settings.batch_size,
        sampler=DrawOrder(len(samples), settings.batch_size, steps, 0),
        collate_fn=collate,
    )


def optimised(network: torch.nn.Module, losses: Callable[[Batch], dict[str, Tensor]]) -> Call:
    """A training step of the network: forward, backward, SGD."""
    optimiser = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9)

    def step(batch: Batch) -> None:
        network.train()
        optimiser.zero_grad()
        sum(losses(batch).values()).backward()
        optimiser.step()

    return step


def ours(settings: DetectorParams) -> tuple[Call, Call]:
    """Training step and inference of our detector."""
    torch.manual_seed(0)
    network = MaskRCNN(settings).to(DEVICE).to(memory_format=torch.channels_last)
    generator = torch.Generator(DEVICE).manual_seed(0)

    def losses(batch: Batch) -> dict[str, Tensor]:
        parts = ([x.to(DEVICE) for x in part] for part in batch[:3])
        return network.losses(Batch(*parts, batch.image_ids), generator)

    def infer(batch: Batch) -> object:
        detector = Detector(network, DEVICE, "32-true")
        return [detector.predict(x.permute(1, 2, 0).numpy()) for x in batch.images]

    return optimised(network, losses), infer


def theirs(sizes: argparse.Namespace) -> tuple[Call, Call]:
    """Training step and inference of torchvision's detector."""
    network = torchvision_model(sizes)

    def pixels(batch: Batch) -> list[Tensor]:
        return [image.to(DEVICE).float() / 255 for image in batch.images]

    def losses(batch: Batch) -> dict[str, Tensor]:
        targets = [
            {
                "boxes": boxes.to(DEVICE),
                "masks": masks.to(DEVICE),
                "labels": torch.ones(len(boxes), dtype=torch.int64, device=DEVICE),
            }
            for boxes, masks in zip(batch.boxes_xyxy, batch.masks, strict=True)
        ]
        return network(pixels(batch), targets)

    @torch.inference_mode()
    def infer(batch: Batch) -> object:
        network.eval()
        return [network([image])[0]["masks"].cpu() for image in pixels(batch)]

    return optimised(network, losses), infer


def rates(calls: Calls, batches: list[Batch]) -> dict[str, float]:
    """Images per second of each call: median over the batches after the first."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for batch in batches:
        for name, call in calls.items():
            start = time.perf_counter()
            call(batch)
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - start) / len(batch.images))
    return {name: 1 / statistics.median(values[1:]) for name, values in seconds.items()}


def input_rate(batches: Iterator[Batch]) -> tuple[list[Batch], float]:
    """The batches and the images per second (median) at which they were read."""
    read, seconds, start = [], [], time.perf_counter()
    for batch in batches:
        seconds.append((time.perf_counter() - start) / len(batch.images))
        read.append(batch)
        start = time.perf_counter()
    return read, 1 / statistics.median(seconds)


def affinity_calls(batches: list[Batch]) -> Calls:
    """Prediction with a loaded affinity network, and that network's forward pass alone."""
    settings = AffinityParams.model_validate({"backbone": {"weights": None}})
    network = AffinityNet(settings).eval()
    with tempfile.TemporaryDirectory() as folder:
        save_weights(network, folder, {"kind": "affinity", "params": settings.model_dump()})
        predictor = load_affinity(folder, DEVICE, "32-true")
    network = network.to(DEVICE).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare(batch: Batch) -> object:
        return [network(image) for image in tensors[batch.image_ids[0]]]

    def predict(batch: Batch) -> object:
        return [predictor.predict(image.permute(1, 2, 0).numpy()) for image in batch.images]

    tensors = {
        batch.image_ids[0]: [normalise(image[None].to(DEVICE)) for image in batch.images]
        for batch in batches
    }
    return {"ours": predict, "bare": bare}


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images_dir", type=Path)
    parser.add_argument("--max-size", type=int, nargs=2, default=[480, 320])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--proposals", type=int, default=500)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    settings = params(arguments, roi_sampling_ratio=2)
    read = loader(arguments.annotations, arguments.images_dir, settings, 20)
    batches, read_rate = input_rate(iter(read))
    objects = [batch for batch in batches if all(map(len, batch.boxes_xyxy))]
    batches = objects[: arguments.repeats + 1]

    sides = {
        "ours": ours(settings),
        "adaptive": ours(params(arguments, roi_sampling_ratio=0)),
        "torchvision": theirs(arguments),
    }
    train = rates({name: step for name, (step, _) in sides.items()}, batches)
    infer = rates({name: call for name, (_, call) in sides.items()}, batches)
    affinity = rates(affinity_calls(batches), batches)

    print("| images per second | ours | peer | peer's | ratio |")
    print("|---|---|---|---|---|")
    for what, got, peer, peer_rate in (
        ("training step", train["ours"], "torchvision", train["torchvision"]),
        ("training step, adaptive", train["adaptive"], "torchvision", train["torchvision"]),
        ("inference", infer["ours"], "torchvision", infer["torchvision"]),
        ("inference, adaptive", infer["adaptive"], "torchvision", infer["torchvision"]),
        ("input", read_rate, "our training step", max(train["ours"], train["adaptive"])),
        ("affinity", affinity["ours"], "bare forward pass", affinity["bare"]),
    ):
        print(f"| {what} | {got:.2f} | {peer} | {peer_rate:.2f} | {got / peer_rate:.2f} |")


if __name__ == "__main__":
    main()
