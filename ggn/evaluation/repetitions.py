"""Finds duplicate images and objects, which count more than once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ggn.core.likeness import same_objects
from ggn.core.masks import boxes_xywh
from ggn.evaluation.object_shapes import has_box

Record = Mapping[str, Any]


def repetition_warnings(
    images: Sequence[Record], objects: Sequence[Record], sizes_hw: Mapping[int, tuple[int, int]]
) -> Iterator[str]:
    """Yield a sentence with the count, for images and for objects.

    Args:
        images: the records; those without a `file_name` are not compared.
        objects: the records; duplicates have the same image, box and mask, or are the same by
            `ggn.core.likeness`. Crowds, which are not to be found, may have those of an object of
            another category.
        sizes_hw: height and width of the images, by id.
    """
    stated = (image.get("file_name") for image in images)
    names = [str(PurePosixPath(name)) for name in stated if isinstance(name, str)]
    if again := len(names) - len(set(names)):
        yield f"{again} images are listed more than once, by file_name"
    identities: dict[tuple[int, int, bool], Record] = {}
    for item in objects:
        key = _identity(item), item["category_id"], bool(item.get("iscrowd"))
        identities.setdefault(key, item)
    different = [_with_box(item) for item in identities.values()]
    same = list(same_objects(different, sizes_hw))
    named = [tuple(different[index]["category_id"] for index in pair) for pair in same]
    repeated = sum(one == other for one, other in named)
    if again := len(objects) - len(identities) + repeated:
        yield f"{again} objects are listed more than once, so only one of each can be found"
    single = [identity for identity, _, is_crowd in identities if not is_crowd]
    elsewhere = [
        pair
        for pair, (one, other) in zip(same, named, strict=True)
        if one != other and _identity(different[pair[0]]) != _identity(different[pair[1]])
    ]
    if again := len(single) - len(set(single)) + len(elsewhere):
        yield (
            f"{again} objects are listed again in another category; if the categories are "
            "evaluated together, one detection does not find both"
        )


def _with_box(item: Record) -> Record:
    """Return a record that states a box, if it has one or a mask that was read."""
    mask = item.get("segmentation")
    if has_box(item) or not isinstance(mask, Mapping) or not isinstance(mask.get("counts"), str):
        return item
    return {**item, "bbox": boxes_xywh([mask])[0]}  # type: ignore[list-item]


def _identity(item: Record) -> int:
    mask, bbox = item.get("segmentation"), item.get("bbox")
    drawn = mask.get("counts") if isinstance(mask, dict) else mask
    shown = drawn if isinstance(drawn, str) else repr(drawn)
    return hash((item["image_id"], shown, *([] if bbox is None else bbox)))
