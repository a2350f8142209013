"""Recognises files that are not COCO-style datasets, to say what they are instead."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_TOOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "labelme": ("shapes", "imagePath"),
        "VIA": ("_via_img_metadata",),
        "VoTT": ("assets", "tags"),
        "SA-1B": ("image", "annotations"),
    }
)
PANOPTIC: Final = (
    "; it looks like COCO's panoptic format, whose masks lie in images: take the instances file"
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
    if is_panoptic(document):
        return PANOPTIC
    if all(key in document for key in ("masks", "scores", "labels")):
        return "; it looks like mmdetection's predictions for one image: export COCO results"
    named = (tool for tool, keys in _TOOLS.items() if all(key in document for key in keys))
    tool = next(named, "VIA" if _is_of_via(document) else "")
    return f"; it looks like {tool}'s own format: export it as COCO" if tool else ""


def _is_of_via(document: Mapping[str, Any]) -> bool:
    """Whether a file holds VIA's annotations without its settings: an object per image."""
    first = next(iter(document.values()), None)
    return isinstance(first, Mapping) and "filename" in first and "regions" in first


def is_panoptic(document: Any) -> bool:
    """Tell whether a file is COCO's panoptic annotations, whose masks lie in images."""
    records = document.get("annotations") if isinstance(document, Mapping) else None
    if not isinstance(records, list) or not records:
        return False
    return isinstance(records[0], Mapping) and "segments_info" in records[0]


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
