"""Label Studio: tasks with brush masks as predictions, and the labelling interface they go with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from ggn.core.files import text_file, write_text
from ggn.core.masks import RLE
from ggn.core.windows import window_of
from ggn.formats.labelled import LABEL, Labelled

_CONFIG = f"""<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="label" toName="image">
    <Label value="{LABEL}"/>
  </BrushLabels>
</View>
"""
_RUN_BITS: Final = (3, 4, 8, 16)
"""The sizes, in bits, in which a run's length can be written."""
_CHANNELS: Final = 4


def write_label_studio(images: Iterable[Labelled], folder: Path) -> list[Path]:
    """Write tasks.json and label_config.xml.

    A task's image is `/data/local-files/?d=NAME`, as Label Studio's local storage serves it. Each
    mask has its score; the prediction has the best of them.
    """
    tasks = folder / "tasks.json"
    with text_file(tasks) as file:
        file.write("[")
        for index, image in enumerate(images):
            file.write(",\n" if index else "\n")
            file.write(json.dumps(_task(image)))
        file.write("\n]\n")
    write_text(folder / "label_config.xml", _CONFIG)
    return [tasks, folder / "label_config.xml"]


def _task(image: Labelled) -> dict[str, Any]:
    height, width = image.instances.image_size_hw
    scores = image.instances.scores.tolist()
    results = [
        {
            "id": f"{image.image_id}-{index}",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": brush(mask), "brushlabels": [LABEL]},
            "score": score,
        }
        for index, (mask, score) in enumerate(zip(image.instances.masks, scores, strict=True))
    ]
    prediction = {"model_version": "ggn", "score": max(scores, default=0.0), "result": results}
    url = f"/data/local-files/?d={quote(image.file_name)}"
    return {"data": {"image": url}, "predictions": [prediction]}


def brush(mask: RLE) -> list[int]:
    """Return a mask in Label Studio's run-length encoding of RGBA pixels, as bytes.

    It is a stream of bits. First come the number of values (32 bits), the bits per value minus 1
    (5 bits) and four sizes minus 1 (4 bits each). Then each run: a 1, the index of a size (2 bits),
    the length minus 1 (as many bits as that size), and the value.
    """
    height, width = mask["size"]
    bits = [f"{height * width * _CHANNELS:032b}", f"{8 - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in _RUN_BITS]
    for length, value in _runs_by_row(mask):
        left = length * _CHANNELS
        while left:
            part = min(left, 1 << _RUN_BITS[-1])
            index = next(i for i, size in enumerate(_RUN_BITS) if part <= 1 << size)
            bits.append(f"1{index:02b}{part - 1:0{_RUN_BITS[index]}b}{value:08b}")
            left -= part
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, "big"))


def _runs_by_row(mask: RLE) -> list[tuple[int, int]]:
    """Yield the lengths of a mask's runs, row by row, each with 255 (inside) or 0."""
    height, width = mask["size"]
    window = window_of(mask)
    padded = np.pad(window.bitmap, ((0, 0), (1, 1))).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=1))
    changes = (rows + window.top) * width + window.left + columns
    lengths = np.diff([0, *changes.tolist(), height * width]).tolist()
    values = [0, 255] * (len(lengths) // 2) + [0]
    return [pair for pair in zip(lengths, values, strict=True) if pair[0]]
