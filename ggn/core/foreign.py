"""Recognises files that are not COCO-style datasets, to say what they are instead."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_TOOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "labelme": ("shapes", "imagePath"),
        "VIA": ("_via_img_metadata",),
        "VoTT": ("assets", "tags"),
    }
)
_LISTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "it looks like Label Studio's own format: export it as COCO": ("data", "annotations"),
        "it looks like CreateML's format: export it as COCO": ("image", "annotations"),
        "it looks like results of a detector": ("image_id", "score"),
        "it looks like the list `annotations` alone, without images and categories": (
            "image_id",
            "category_id",
        ),
    }
)


def looks_like(document: Any) -> str:
    """Return what a JSON file is, as the end of a sentence; "" for COCO style or anything unknown.

    Args:
        document: what the file holds.
    """
    if isinstance(document, list) and document and isinstance(document[0], Mapping):
        said = (text for text, keys in _LISTS.items() if all(key in document[0] for key in keys))
        return next((f"; {text}" for text in said), "")
    if not isinstance(document, Mapping):
        return ""
    for tool, keys in _TOOLS.items():
        if all(key in document for key in keys):
            return f"; it looks like {tool}'s own format: export it as COCO"
    return ""


def looks_like_wrapped(document: Any) -> str:
    """Return where the records of a results file lie if it is an object, as the end of a sentence.

    Args:
        document: what the file holds, in place of a list of records.
    """
    if not isinstance(document, Mapping):
        return ""
    lists = (key for key, value in document.items() if isinstance(value, list) and value)
    for key in sorted(lists):
        record = document[key][0]
        if isinstance(record, Mapping) and "image_id" in record:
            return f"; save the list under '{key}' alone"
    return looks_like(document)
