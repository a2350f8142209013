"""Exports annotations plus pseudo masks as a plain COCO file, for training other detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggn.core.coco import annotations_by_image, read_coco, write_json
from ggn.core.masks import area_and_box, decode, from_segmentation
from ggn.core.polygons import polygons
from ggn.data.mask_store import store_of
from ggn.pseudo_gt.merge import merge, pseudo_category, records

OBJECT = {"id": 1, "name": "object"}
"""The only category of a class-agnostic file."""

_KEPT = ("id", "file_name", "height", "width")

Record = dict[str, Any]


def export_coco(training_file: Path, out: Path, *, class_agnostic: bool = False) -> tuple[int, int]:
    """Write images, categories and annotations with only COCO's own keys.

    Masks are polygons that cover the same pixels; crowds are run lengths, as in COCO's own files.
    Annotation ids start at 1, because pycocotools takes 0 for no match. Images without masks stay.

    Args:
        training_file: `data/SPLIT/training/ggn.json`; it has the pseudo masks, or names the store
            that has them.
        out: path of the file.
        class_agnostic: give everything the category `OBJECT`; otherwise pseudo masks have their own
            category, `pseudo`, beside those of the annotations.

    Returns:
        The number of annotations, and how many of them are pseudo masks.

    Raises:
        CocoError: the training file is faulty.
        MaskStoreError: the store is damaged, or has changed since the file was written.
        FileNotFoundError: no such file.
    """
    dataset = _whole(read_coco(training_file))
    images = [{key: image[key] for key in _KEPT} for image in dataset["images"]]
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    plain = [
        _plain(record, sizes[record["image_id"]])
        for of_image in annotations_by_image(dataset).values()
        for record in of_image
    ]
    kept = [record for record in plain if record["segmentation"]]
    for place, record in enumerate(kept, start=1):
        record["id"] = place
        record["category_id"] = OBJECT["id"] if class_agnostic else record["category_id"]
    content = {
        "info": {"description": "annotations and pseudo masks"},
        "licenses": [],
        "images": images,
        "categories": [OBJECT] if class_agnostic else [_category(c) for c in dataset["categories"]],
        "annotations": kept,
    }
    write_json(out, content)
    pseudo = sum(record.get("source") == "pseudo" for record in dataset["annotations"])
    return len(kept), pseudo


def _whole(dataset: Record) -> Record:
    """Return the dataset with the pseudo masks of the store that it names."""
    store = store_of(dataset)
    if store is None:
        return dataset
    category = pseudo_category(dataset)
    lists = [
        records(image_id, masks, np.array(overlap), category["id"])
        for image_id, masks, overlap in store
    ]
    return merge(dataset, lists, category)


def _plain(record: Mapping[str, Any], size_hw: tuple[int, int]) -> Record:
    mask = from_segmentation(record["segmentation"], size_hw)
    crowd = int(record.get("iscrowd", 0))
    return {
        "id": 0,
        "image_id": record["image_id"],
        "category_id": record["category_id"],
        "segmentation": mask if crowd else list(_polygons(record, mask)),
        **area_and_box(mask),
        "iscrowd": crowd,
    }


def _polygons(record: Mapping[str, Any], mask: Any) -> Iterator[list[float]]:
    """Yield the polygons of the record, or if it has none, polygons that draw its mask."""
    given = record["segmentation"]
    if isinstance(given, list):
        yield from given
        return
    height, width = mask["size"]
    for points in polygons(decode([mask], (height, width))[0]):
        yield points.ravel().astype(float).tolist()


def _category(category: Mapping[str, Any]) -> Record:
    return {key: category[key] for key in ("id", "name", "supercategory") if key in category}
