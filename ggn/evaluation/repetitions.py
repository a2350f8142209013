"""Finds duplicate images and objects, which count more than once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

Record = Mapping[str, Any]


def repetition_warnings(images: Sequence[Record], objects: Sequence[Record]) -> Iterator[str]:
    """Yield a sentence with the count, for images and for objects.

    Args:
        images: the records; those without a `file_name` are not compared.
        objects: the records; duplicates have the same image, box and mask. Crowds, which are not
            to be found, may have those of an object of another category.
    """
    stated = (image.get("file_name") for image in images)
    names = [str(PurePosixPath(name)) for name in stated if isinstance(name, str)]
    if again := len(names) - len(set(names)):
        yield f"{again} images are listed more than once, by file_name"
    identities = {(_identity(o), o["category_id"], bool(o.get("iscrowd"))) for o in objects}
    if again := len(objects) - len(identities):
        yield f"{again} objects are listed more than once, so only one of each can be found"
    single = [identity for identity, _, is_crowd in identities if not is_crowd]
    if again := len(single) - len(set(single)):
        yield (
            f"{again} objects are listed again in another category, so that one detection does "
            "not find both if these are evaluated together"
        )


def _identity(item: Record) -> int:
    mask, bbox = item.get("segmentation"), item.get("bbox")
    drawn = mask.get("counts") if isinstance(mask, dict) else mask
    shown = drawn if isinstance(drawn, str) else repr(drawn)
    return hash((item["image_id"], shown, *([] if bbox is None else bbox)))
