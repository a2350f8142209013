"""Proposes an entry of params.yaml from a size in one word and measurements of the dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from ggn.data.survey import Survey

Size = Literal["small", "medium", "reference"]

_SCHEDULE = {"lr_batch_size": 4, "batch_size": 4, "warmup_steps": 100, "schedule": "cosine"}
_SMALL = {"name": "resnet18", "width": 16, "norm": "group", "weights": None}
_ADAM = {"optimizer": "adamw", "lr": 0.002, "gradient_clip": 1.0, "precision": "32-true"}
_TUNED = {  # the detector of the row coco_sample
    "optimizer": "adamw",
    "lr": 0.001,
    "backbone_lr_share": 0.2,
    "weight_decay": 0.05,
    "gradient_clip": 1.0,
}
_LONGEST = {"small": 320, "medium": 640, "reference": 1333}
_CROP = {"small": 128, "medium": 256, "reference": 512}
_SEEN = {"small": 4000, "medium": 12_000}  # images in all epochs together
_AFFINITY_SEEN = 7500  # of the recipe `photographs`, whose crops teach it more than whole images
_FEWEST_MASKS = {"small": 1, "medium": 3, "reference": 3}  # per image; 3 is as published


def propose(survey: Survey, size: Size, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the six sections of a split.

    Args:
        survey: of the training images and their seen objects.
        size: `small` trains narrow networks from random weights, `medium` a ResNet-18 from weights
            of ImageNet with the recipe `photographs`; `reference` is the published recipe.
        data: the section `data`.
    """
    longest, factor = _detector_size(survey, size)
    anchor = min(8.0, max(1.0, round(2 * 0.3 * survey.side_10 * factor) / 2))
    affinity: dict[str, Any] = {"image_scale": _image_scale(survey, size)}
    detector: dict[str, Any] = {
        "max_size": longest,
        "rpn": {"anchor_scale": anchor},
        "roi_level_scale": max(14.0, 7 * anchor),
        "detection": {"max_detections": _round_up(max(100, 3 * survey.objects_max), 100)},
    }
    side = max(survey.image_size_hw)
    if size != "reference" or side > _CROP[size]:
        crop = min(_CROP[size], _round_up(max(64, 4 * survey.side_90), 32))
        affinity["crop_size"] = min(crop, _round_up(max(32, side), 8))
    if size != "reference":
        _narrow(affinity, detector, survey, size)
    grouping = {
        "min_area": max(1, survey.smallest_area // 2),
        "max_candidates": _round_up(max(100, 4 * survey.objects_50), 50),
    }
    pseudo_gt = {"top_k": min(100, max(_FEWEST_MASKS[size], survey.objects_50 // 2))}
    return {
        "data": dict(data),
        "affinity": affinity,
        "grouping": grouping,
        "pseudo_gt": pseudo_gt,
        "detector": detector,
        "evaluation": {},
    }


def _narrow(affinity: dict[str, Any], detector: dict[str, Any], survey: Survey, size: Size) -> None:
    """Make the networks small, with as many epochs as give a fixed number of steps."""
    if size == "small":
        both = {"epochs": _epochs(_SEEN[size], survey), **_SCHEDULE, **_ADAM, "weight_decay": 0.01}
        affinity |= {"backbone": dict(_SMALL), "pool_channels": 32, "head_channels": 32}
        affinity |= {"head_norm": "group", "flip": True, "scale_range": [0.8, 1.25], **both}
        detector |= {"backbone": {**_SMALL, "frozen_stages": 0}, "fpn_channels": 48, **both}
        detector["box"] = {"channels": 128, "samples": 64}
        detector["mask"] = {"convolutions": 2, "channels": 48, "norm": "group"}
    else:
        affinity |= {"recipe": "photographs", "backbone": {"name": "resnet18"}}
        affinity["epochs"] = _epochs(_AFFINITY_SEEN, survey)
        detector |= {"backbone": {"name": "resnet18"}, "fpn_channels": 128, **_SCHEDULE, **_TUNED}
        detector |= {
            "epochs": _epochs(_SEEN[size], survey),
            "box": {"channels": 512, "samples": 64},
        }
        detector["mask"] = {"convolutions": 2, "channels": 128}
    detector["rpn"] |= {"samples": 128, "candidates_per_level": 500, "proposals": 500}
    detector["roi_sampling_ratio"] = 2


def _epochs(seen: int, survey: Survey) -> int:
    return max(1, min(60, round(seen / survey.images)))


def _detector_size(survey: Survey, size: Size) -> tuple[list[int], float]:
    """Return the detector's longest and shortest side, and the factor by which they scale images.

    Images are enlarged, at most threefold, until the smaller objects are 16 pixels wide.
    """
    low, high = sorted(survey.image_size_hw)
    wanted = min(3.0, max(1.0, 16 / survey.side_10)) * high
    longest = round(min(wanted, _LONGEST[size])) if size != "reference" else _LONGEST[size]
    shortest = min(longest, max(1, round(low * longest / high)))
    if size == "reference":
        shortest = 800
    return [longest, shortest], min(longest / high, shortest / low)


def _image_scale(survey: Survey, size: Size) -> float:
    """Return the affinity's image scale. Its map is a quarter as wide as the network's input.

    The recipe `photographs` also predicts at 1.5 times that scale.
    """
    return 1.0 if survey.side_50 >= (32 if size == "medium" else 48) else 2.0


def _round_up(value: float, step: int) -> int:
    return int(-(-value // step) * step)


_REASONS = {
    ("affinity", "image_scale"): "the median object is {side_50:.0f} pixels wide",
    ("affinity", "crop_size"): "nine tenths of the objects are narrower than {side_90:.0f} pixels",
    ("grouping", "min_area"): "99 of 100 objects have at least twice this area, in pixels",
    ("pseudo_gt", "top_k"): "the median image has {objects_50} seen objects",
    (
        "detector",
        "rpn",
    ): "the smallest anchors are a little larger than the smallest tenth of the objects",
    ("detector", "max_size"): "the median image is {width} wide and {height} high",
    ("detector", "detection"): "no image has more than {objects_max} seen objects",
}


def entry_text(name: str, sections: Mapping[str, Any], survey: Survey, size: Size) -> str:
    """Return the entry of `splits` as YAML, indented by two, with a reason for each proposal."""
    height, width = survey.image_size_hw
    facts = {**vars(survey), "height": height, "width": width}
    lines = [
        f"  # Proposed by `ggn init` ({size}) from {survey.images} images with {survey.objects}"
        " seen objects.",
        f"  {name}:",
    ]
    for section, values in sections.items():
        lines.append(f"    {section}:{'' if values else ' {}'}")
        for key, value in values.items():
            reason = _REASONS.get((section, key), "")
            line, comment = f"      {key}: {_flow(value)}", f"# {reason.format(**facts)}"
            fits = len(line) + len(comment) < 100
            if reason and not fits:
                lines.append(f"      {comment}")
            lines.append(f"{line} {comment}" if reason and fits else line)
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """Return a value as JSON, which YAML also reads, but with unquoted keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
