"""CVAT for images 1.1: one XML file, masks as run lengths of their boxes, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from ggn.core.files import text_file
from ggn.core.masks import RLE
from ggn.core.windows import window_of
from ggn.formats.labelled import LABEL, Labelled

_SCORE: Final = {
    "name": "score",
    "mutable": "False",
    "input_type": "text",
    "default_value": "",
    "values": "",
}


def write_cvat(images: Iterable[Labelled], folder: Path) -> list[Path]:
    """Write annotations.xml; the score is a text attribute of the label, which its meta declares.

    CVAT finds images by name, so the task must have images of the same names.
    """
    path = folder / "annotations.xml"
    with text_file(path) as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        for element in (_version(), _meta()):
            file.write(_text(element))
        for number, image in enumerate(images):
            file.write(_text(_image(number, image)))
        file.write("</annotations>\n")
    return [path]


def _text(element: Element) -> str:
    indent(element)
    return tostring(element, encoding="unicode") + "\n"


def _version() -> Element:
    version = Element("version")
    version.text = "1.1"
    return version


def _meta() -> Element:
    meta = Element("meta")
    label = SubElement(SubElement(SubElement(meta, "task"), "labels"), "label")
    for name, text in (("name", LABEL), ("type", "mask")):
        SubElement(label, name).text = text
    attribute = SubElement(SubElement(label, "attributes"), "attribute")
    for name, text in _SCORE.items():
        SubElement(attribute, name).text = text
    return meta


def _image(number: int, image: Labelled) -> Element:
    height, width = image.instances.image_size_hw
    element = Element(
        "image", id=str(number), name=image.file_name, width=str(width), height=str(height)
    )
    scores = image.instances.scores.tolist()
    for mask, score in zip(image.instances.masks, scores, strict=True):
        shape = SubElement(element, "mask", {k: str(v) for k, v in _mask(mask).items()})
        SubElement(shape, "attribute", name="score").text = f"{score:.4f}"
    return element


def _mask(mask: RLE) -> dict[str, object]:
    window = window_of(mask)
    height, width = window.bitmap.shape
    flat = window.bitmap.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    counts = [0, *runs] if flat[0] else runs
    return {
        "label": LABEL,
        "source": "auto",
        "occluded": 0,
        "rle": ", ".join(map(str, counts)),
        "left": window.left,
        "top": window.top,
        "width": width,
        "height": height,
        "z_order": 0,
    }
