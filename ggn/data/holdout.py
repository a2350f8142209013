"""Divides an annotation file into training and validation images, with all categories in both."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ggn.core.coco import annotations_by_image


def hold_out(
    dataset: Mapping[str, Any], share: float, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the dataset with the images to train on, and with those held out for validation.

    The division is stratified (Sechidis et al., 2011): images are assigned one by one, those with
    the rarest category first, each to the part that lacks most of that category. Images without
    annotations are divided in the same way. The order of the file is kept.

    Args:
        dataset: COCO-style and checked, with two images or more.
        share: share of the images to hold out, in (0, 1); each part has at least one image.
        seed: seed of the order in which images are assigned.

    Raises:
        ValueError: there are fewer than two images.
    """
    images = dataset["images"]
    if len(images) < 2:
        raise ValueError(f"{len(images)} image cannot be divided; give --val, or more images")
    groups = {
        image_id: {a["category_id"] for a in annotations} or {None}
        for image_id, annotations in annotations_by_image(dataset).items()
    }
    frequency = Counter(category for group in groups.values() for category in group)
    missing = {category: share * count for category, count in frequency.items()}
    left = min(max(1, round(share * len(images))), len(images) - 1)
    held_out: set[int] = set()
    order = [images[i]["id"] for i in np.random.default_rng(seed).permutation(len(images))]
    order.sort(key=lambda image_id: min(frequency[category] for category in groups[image_id]))
    remaining = dict(frequency)
    for place, image_id in enumerate(order):
        rarest = min(groups[image_id], key=lambda category: (frequency[category], category or 0))
        wanted = missing[rarest] > 0 and missing[rarest] >= share * remaining[rarest]
        rest = len(order) - place
        if left and (wanted or rest <= left):
            held_out.add(image_id)
            left -= 1
            for category in groups[image_id]:
                missing[category] -= 1
        for category in groups[image_id]:
            remaining[category] -= 1
    return _part(dataset, held_out, False), _part(dataset, held_out, True)


def _part(dataset: Mapping[str, Any], held_out: set[int], which: bool) -> dict[str, Any]:
    return {
        **dataset,
        "images": [i for i in dataset["images"] if (i["id"] in held_out) == which],
        "annotations": [a for a in dataset["annotations"] if (a["image_id"] in held_out) == which],
    }
