"""labelme's files: a JSON per image, with each mask as a PNG of its box (labelme 5.2 or newer)."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from ggn.core.coco import write_json
from ggn.core.masks import RLE
from ggn.core.windows import window_of
from ggn.formats.labelled import LABEL, Labelled


def write_labelme(images: Iterable[Labelled], folder: Path) -> list[Path]:
    """Write labelme/NAME.json for each image; `imagePath` leads from there to the image.

    The score is in a shape's description, which labelme shows, and as `score`, which it keeps.
    """
    for image in images:
        path = folder / "labelme" / Path(image.file_name).with_suffix(".json")
        height, width = image.instances.image_size_hw
        scores = image.instances.scores.tolist()
        shapes = [_shape(*pair) for pair in zip(image.instances.masks, scores, strict=True)]
        document: dict[str, Any] = {
            "version": "5.2.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": os.path.relpath(image.path, path.parent),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(path, document)
    return [folder / "labelme"]


def _shape(mask: RLE, score: float) -> dict[str, Any]:
    window = window_of(mask)
    height, width = window.bitmap.shape
    png = io.BytesIO()
    Image.fromarray(window.bitmap).save(png, format="PNG")
    return {
        "label": LABEL,
        "points": [
            [window.left, window.top],
            [window.left + width - 1, window.top + height - 1],
        ],
        "group_id": None,
        "description": f"score {score:.3f}",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(png.getvalue()).decode("ascii"),
        "score": score,
    }
