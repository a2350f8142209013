"""How long a split will take on this machine, from timing its networks on one image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ggn.data.survey import Survey

_TRAINING = 3  # a training step takes about three times as long as a forward pass


def estimate_seconds(
    sections: Mapping[str, Any], survey: Survey, val_images: int, device: str
) -> float:
    """Return about how many seconds the stages of a split take, one after another.

    Both networks run on noise of the dataset's median image size: once to warm up, once timed. On a
    CPU, the time is the processor's, so other programs that run now don't count.

    Args:
        sections: the validated params of the split.
        survey: of its training images.
        val_images: number of validation images.
        device: `cpu` or `cuda`.
    """
    from ggn.affinity.model import AffinityNet
    from ggn.affinity.predict import AffinityPredictor
    from ggn.detector.mask_rcnn import MaskRCNN
    from ggn.detector.predict import Detector

    random = {"weights": None, "norm": "group"}
    affinity, detector = sections["affinity"], sections["detector"]
    affinity = affinity.model_copy(update={"backbone": affinity.backbone.model_copy(update=random)})
    backbone = detector.backbone.model_copy(update={**random, "frozen_stages": 0})
    few = detector.detection.model_copy(update={"max_detections": survey.objects_50})
    detector = detector.model_copy(update={"backbone": backbone, "detection": few})
    height, width = survey.image_size_hw
    crop = affinity.crop_size or max(height, width)
    grouping = AffinityPredictor(AffinityNet(affinity), device)
    finding = Detector(MaskRCNN(detector), device)
    whole, cropped = _noise(height, width), _noise(min(height, crop), min(width, crop))
    seconds_whole, seconds_crop = (
        _seconds(grouping, whole, device),
        _seconds(grouping, cropped, device),
    )
    seconds_found = _seconds(finding, whole, device)
    training = affinity.epochs * seconds_crop + 2 * detector.epochs * seconds_found
    per_image = _TRAINING * training + seconds_whole
    seconds = survey.images * per_image + val_images * (2 * seconds_found + seconds_whole)
    return float(seconds)


def told(seconds: float) -> str:
    """Return a duration in everyday words: a minute, or so many minutes, hours or days."""
    for unit, length in (("days", 86_400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{round(seconds / 60)} minutes" if seconds >= 90 else "a minute"


def _noise(height: int, width: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _seconds(network: Any, image: Any, device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    network.predict(image)
    started = clock()
    network.predict(image)
    return clock() - started
