"""Pseudo ground truth as files: the interchange list per image, and the merged training file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault
from ggn.core.instances import Instances
from ggn.core.masks import from_segmentation, resize
from ggn.core.mending import free_ids
from ggn.core.values import is_finite, is_integer, is_size, short

PSEUDO_CATEGORY = "pseudo"
_INTERCHANGE_KEYS = ("segmentation", "image_id", "score", "orig_shape")

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
    """Return a category for pseudo masks, with an id and a name that are new to the dataset.

    This way, no partition of the annotated categories can drop them.
    """
    names = {category["name"] for category in dataset["categories"]}
    name = next(n for n in _numbered(PSEUDO_CATEGORY) if n not in names)
    return {"id": next(free_ids(dataset["categories"])), "name": name}


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} {number}" for number in count(2))


def merge(
    dataset: Mapping[str, Any], pseudo: Sequence[Sequence[Record]], category: Record
) -> dict[str, Any]:
    """Return the dataset with pseudo masks as further annotations.

    Annotations keep their ids and get `"source": "annotation"`. Pseudo masks get new ids after
    them and `"source": "pseudo"`, and keep `score`, `rank` and `gt_iou`.

    Raises:
        ValueError: the dataset lacks the image of a pseudo mask, or the mask has another size.
    """
    sizes = {image["id"]: [image["height"], image["width"]] for image in dataset["images"]}
    annotations = [{**record, "source": "annotation"} for record in dataset["annotations"]]
    fresh_ids = free_ids(annotations)
    for record in (record for image in pseudo for record in image):
        image_id, size = record["image_id"], list(record["segmentation"]["size"])
        if size != sizes.get(image_id):
            wanted = sizes.get(image_id, "no such image")
            raise ValueError(f"pseudo mask of image {image_id}: size {size}, dataset: {wanted}")
        fresh = {
            "id": next(fresh_ids),
            "category_id": category["id"],
            "iscrowd": 0,
            "source": "pseudo",
        }
        annotations.append({**record, **fresh})
    categories = [*dataset["categories"], category]
    return {**dataset, "categories": categories, "annotations": annotations}


def from_interchange(lists: Any, file: str) -> Iterator[tuple[int, Instances]]:
    """Yield (image id, masks best first) of an interchange file made by another program.

    Masks extracted at a reduced size are scaled to `orig_shape` (nearest). Empty lists don't say
    which image they belong to, so these images are not yielded; they have no pseudo ground truth.

    Args:
        lists: what the JSON file holds: a list per image, of objects with at least `segmentation`,
            `image_id`, `score` and `orig_shape`.
        file: its name, for the messages.

    Raises:
        CocoError: naming the list, the object and the key that is missing or wrong.
    """
    if not isinstance(lists, list) or not all(isinstance(entry, list) for entry in lists):
        raise CocoError([Fault(file, "file", "must be a list with one list of objects per image")])
    places: dict[int, int] = {}
    for index, entry in enumerate(lists):
        if not entry:
            continue
        reasons = list(_record_faults(entry)) or list(_differences(entry))
        faults = [Fault(file, f"[{index}][{place}]", reason) for place, reason in reasons]
        if faults:
            raise CocoError(faults)
        image_id = entry[0]["image_id"]
        if image_id in places:
            reason = f"image {image_id} already has a list, [{places[image_id]}]"
            raise CocoError([Fault(file, f"[{index}]", reason)])
        places[image_id] = index
        yield image_id, _instances(entry, file, index)


def _record_faults(entry: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield the place and fault of each object of a list that is malformed by itself."""
    for place, record in enumerate(entry):
        if not isinstance(record, dict):
            yield place, f"must be an object, got {short(record)}"
        elif missing := [name for name in _INTERCHANGE_KEYS if name not in record]:
            yield place, f"lacks {', '.join(missing)}"
        else:
            for name, value, allowed, holds in (
                ("image_id", record["image_id"], "an integer", is_integer),
                ("score", record["score"], "a finite number", is_finite),
                ("orig_shape", record["orig_shape"], "[height, width]", is_size),
                ("segmentation.size", _size(record), "[height, width]", is_size),
            ):
                if not holds(value):
                    yield place, f"{name} must be {allowed}, got {short(value)}"


def _differences(entry: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield position and fault of each well-formed object that belongs to another image."""
    first = entry[0]
    for place, record in enumerate(entry):
        for name in ("image_id", "orig_shape"):
            if record[name] != first[name]:
                yield place, f"{name} is {record[name]}, but {first[name]} in [0]"


def _size(record: Record) -> Any:
    segmentation = record["segmentation"]
    return segmentation.get("size") if isinstance(segmentation, dict) else None


def _instances(entry: list[Record], file: str, index: int) -> Instances:
    height, width = entry[0]["orig_shape"]
    masks = []
    for place, record in enumerate(entry):
        extracted_size = record["segmentation"]["size"]
        try:
            mask = from_segmentation(record["segmentation"], tuple(extracted_size))
        except ValueError as error:
            raise CocoError([Fault(file, f"[{index}][{place}]", str(error))]) from error
        masks.append(mask if extracted_size == [height, width] else resize(mask, (height, width)))
    scores = np.array([record["score"] for record in entry], dtype=np.float32)
    return Instances(masks, scores, (height, width))
