"""Statistics of a dataset: sizes of images and objects, and objects per image."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Survey:
    """Sizes in pixels. Objects are those of the given categories, without crowds."""

    images: int
    objects: int
    image_size_hw: tuple[int, int]
    """Median height and width."""
    side_10: float
    """10th percentile of the side of an object, the square root of its area."""
    side_50: float
    """Its median."""
    side_90: float
    """Its 90th percentile."""
    smallest_area: int
    """1st percentile of the area of an object."""
    objects_50: int
    """Median number of objects in an image that has any."""
    objects_max: int
    """Most objects in an image."""


def survey(dataset: Mapping[str, Any], category_ids: Collection[int]) -> Survey:
    """Measure the images of a checked COCO-style dataset and its objects of some categories.

    Raises:
        ValueError: there is no such object.
    """
    objects = [
        a
        for a in dataset["annotations"]
        if a["category_id"] in category_ids and not a.get("iscrowd")
    ]
    if not objects:
        raise ValueError("no image has an annotation of a seen category: nothing to learn from")
    areas = np.array([a["area"] for a in objects], np.float64)
    counts = np.array(list(Counter(a["image_id"] for a in objects).values()))
    sides = np.percentile(np.sqrt(areas), [10, 50, 90])
    height, width = np.median([(i["height"], i["width"]) for i in dataset["images"]], axis=0)
    return Survey(
        images=len(dataset["images"]),
        objects=len(objects),
        image_size_hw=(int(height), int(width)),
        side_10=float(sides[0]),
        side_50=float(sides[1]),
        side_90=float(sides[2]),
        smallest_area=int(np.percentile(areas, 1)),
        objects_50=int(np.median(counts)),
        objects_max=int(counts.max()),
    )
