"""YOLO segmentation labels: a text file per image, a polygon per line, coordinates from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ggn.core.files import write_text
from ggn.core.windows import window_of
from ggn.formats.labelled import LABEL, Labelled
from ggn.formats.outlines import outline

_WITHIN_PIXEL: Final = 0.25
"""Offset within a pixel; readers that round and readers that truncate then find the same pixel."""


def write_yolo(images: Iterable[Labelled], folder: Path) -> list[Path]:
    """Write labels/NAME.txt for each image, and data.yaml with the name of the one class.

    A line is `0 x y x y …`: the class and the outline of a mask (see `outlines.outline`). The
    format does not store scores, but lines are best first. An image without objects has an empty
    file. Labels belong in a folder `labels` beside the folder `images`.
    """
    for image in images:
        height, width = image.instances.image_size_hw
        lines = []
        for mask in image.instances.masks:
            points = outline(window_of(mask)) + _WITHIN_PIXEL
            shares = (points / [width, height]).ravel()
            lines.append(" ".join(["0", *(f"{share:.8g}" for share in shares.tolist())]) + "\n")
        write_text(folder / "labels" / Path(image.file_name).with_suffix(".txt"), "".join(lines))
    write_text(folder / "data.yaml", f"train: images\nval: images\nnames:\n  0: {LABEL}\n")
    return [folder / "labels", folder / "data.yaml"]
