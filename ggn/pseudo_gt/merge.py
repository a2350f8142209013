"""Pseudo ground truth as files: the interchange list per image, and the merged training file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault
from ggn.core.instances import Instances
from ggn.core.masks import from_segmentation, resize

PSEUDO_CATEGORY = "pseudo"

Record = dict[str, Any]


def records(
    image_id: int, selected: Instances, annotation_iou: NDArray[np.float64], category_id: int
) -> list[Record]:
    """Return one image's pseudo masks in the interchange format, best first.

    Each has `segmentation` (RLE), `area`, `bbox` (xywh), `image_id`, `category_id`, `score`, `rank`
    (0 is best), `gt_iou` (largest IoU with an annotation) and `orig_shape` [height, width].
    """
    return [
        {**record, "rank": rank, "gt_iou": float(iou), "orig_shape": list(selected.image_size_hw)}
        for rank, (record, iou) in enumerate(
            zip(selected.to_coco_results(image_id, category_id), annotation_iou, strict=True)
        )
    ]


def pseudo_category(dataset: Mapping[str, Any]) -> Record:
    """Return a category of its own for pseudo masks, with an id that the dataset does not use.

    So no partition of the annotated categories can ever drop them.
    """
    used = [category["id"] for category in dataset["categories"]]
    return {"id": max(used, default=0) + 1, "name": PSEUDO_CATEGORY}


def merge(
    dataset: Mapping[str, Any], pseudo: Sequence[Sequence[Record]], category: Record
) -> dict[str, Any]:
    """Return the dataset with pseudo masks as further annotations.

    Annotations keep their ids and get `"source": "annotation"`; pseudo masks get fresh ids after
    them and `"source": "pseudo"`, and keep `score`, `rank` and `gt_iou`.
    """
    annotations = [{**record, "source": "annotation"} for record in dataset["annotations"]]
    next_id = max((record["id"] for record in annotations), default=0) + 1
    added = [
        {**record, "id": next_id + index, "iscrowd": 0, "source": "pseudo"}
        for index, record in enumerate(record for image in pseudo for record in image)
    ]
    return {
        **dataset,
        "categories": [*dataset["categories"], category],
        "annotations": annotations + added,
    }


def from_interchange(lists: Any, file: str) -> Iterator[tuple[int, Instances]]:
    """Yield (image id, masks best first) of an interchange file made elsewhere.

    Masks extracted at a reduced size are scaled to `orig_shape` (nearest).

    Raises:
        CocoError: naming the list, the object and the key that is missing or wrong.
    """
    if not isinstance(lists, list) or not all(isinstance(entry, list) for entry in lists):
        raise CocoError([Fault(file, "file", "must be a list with one list of objects per image")])
    for index, entry in enumerate(lists):
        faults = [
            Fault(file, f"[{index}][{place}]", f"needs the key {key!r}")
            for place, record in enumerate(entry)
            for key in ("segmentation", "image_id", "score", "orig_shape")
            if not isinstance(record, dict) or key not in record
        ]
        if not faults and len({record["image_id"] for record in entry}) > 1:
            faults = [Fault(file, f"[{index}]", "objects of several images in one list")]
        if faults:
            raise CocoError(faults)
        if entry:
            yield entry[0]["image_id"], _instances(entry, file, index)


def _instances(entry: list[Record], file: str, index: int) -> Instances:
    height, width = entry[0]["orig_shape"]
    masks = []
    for place, record in enumerate(entry):
        try:
            size = record["segmentation"]["size"]
            mask = from_segmentation(record["segmentation"], (size[0], size[1]))
        except (ValueError, TypeError, KeyError) as error:
            raise CocoError([Fault(file, f"[{index}][{place}]", str(error))]) from error
        masks.append(resize(mask, (height, width)))
    scores = np.array([record["score"] for record in entry], dtype=np.float32)
    return Instances(masks, scores, (height, width))
