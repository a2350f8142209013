"""Every format, read back mask by mask: by its definition here, by its own library in `readers`."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label
from skimage.draw import line, polygon

from ggn.core.masks import encode
from ggn.formats import FORMATS, Labelled, refuse_shared_files, write_format
from ggn.formats.label_studio import brush

READERS = Path(__file__).parents[2] / ".venv-readers" / "bin" / "python"
SIZE_HW = (40, 56)
Read = dict[str, tuple[list[NDArray[np.bool_]], list[float] | None]]
"""Bitmaps and scores by the name of the image."""


def read_yolo(folder: Path) -> Read:
    found: Read = {}
    for path in (folder / "labels").rglob("*.txt"):
        bitmaps = []
        for row in path.read_text().splitlines():
            name, *numbers = row.split()
            assert name == "0"
            points = np.array(numbers, float).reshape(-1, 2) * SIZE_HW[::-1]
            assert len(points) >= 3
            corners = points.astype(int)
            assert (corners == np.round(points)).all()  # cut off or rounded: the same pixel
            bitmap = np.zeros(SIZE_HW, bool)
            bitmap[polygon(corners[:, 1], corners[:, 0], SIZE_HW)] = True
            for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                bitmap[line(y1, x1, y2, x2)] = True
            bitmaps.append(bitmap)
        name = path.relative_to(folder / "labels").with_suffix(".png").as_posix()
        found[name] = (bitmaps, None)
    return found


def read_labelme(folder: Path) -> Read:
    found: Read = {}
    for path in (folder / "labelme").rglob("*.json"):
        document = json.loads(path.read_text())
        assert (path.parent / document["imagePath"]).exists()
        assert (document["imageHeight"], document["imageWidth"]) == SIZE_HW
        bitmaps = []
        for shape in document["shapes"]:
            (x1, y1), (x2, y2) = shape["points"]
            bitmap = np.zeros(SIZE_HW, bool)
            with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as png:
                bitmap[y1 : y2 + 1, x1 : x2 + 1] = np.asarray(png)
            bitmaps.append(bitmap)
        scores = [shape["score"] for shape in document["shapes"]]
        name = path.relative_to(folder / "labelme").with_suffix(".png").as_posix()
        found[name] = (bitmaps, scores)
    return found


def read_cvat(folder: Path) -> Read:
    found: Read = {}
    for image in ET.parse(folder / "annotations.xml").getroot().iter("image"):
        bitmaps, scores = [], []
        for mask in image.iter("mask"):
            left, top, width, height = (
                int(mask.get(k, "")) for k in ("left", "top", "width", "height")
            )
            runs = [int(run) for run in mask.get("rle", "").split(",")]
            bitmap = np.zeros(SIZE_HW, bool)
            window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            bitmap[top : top + height, left : left + width] = window
            bitmaps.append(bitmap)
            scores.append(float(mask.findtext("attribute", "")))
        found[image.get("name", "")] = (bitmaps, scores)
    return found


def read_label_studio(folder: Path) -> Read:
    found: Read = {}
    for task in json.loads((folder / "tasks.json").read_text()):
        (prediction,) = task["predictions"]
        bitmaps = [unbrushed(result["value"]["rle"]) for result in prediction["result"]]
        scores = [result["score"] for result in prediction["result"]]
        name = task["data"]["image"].partition("?d=")[2].replace("%20", " ").replace("%26", "&")
        found[name] = (bitmaps, scores)
    return found


def unbrushed(coded: list[int]) -> NDArray[np.bool_]:
    """Alpha of Label Studio's RGBA, as its definition says, number by number."""
    bits = "".join(f"{byte:08b}" for byte in coded)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word, sizes = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        is_run, length = take(1), take(sizes[take(2)]) + 1
        values += [take(word)] * length if is_run else [take(word) for _ in range(length)]
    return np.array(values).reshape(*SIZE_HW, 4)[:, :, 3] == 255


READ: dict[str, Callable[[Path], Read]] = {
    "yolo": read_yolo,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "label-studio": read_label_studio,
}


def compare(name: str, found: Read, labelled: list[Labelled]) -> None:
    assert sorted(found) == sorted(image.file_name for image in labelled)
    for image in labelled:
        bitmaps, scores = found[image.file_name]
        wanted = image.instances.bitmaps().astype(bool)
        assert len(bitmaps) == len(wanted)
        if scores is not None:
            np.testing.assert_allclose(scores, image.instances.scores, atol=5e-5)
        for bitmap, mask in zip(bitmaps, wanted, strict=True):
            parts = label(mask)[1] if name == "yolo" else 1  # one polygon: lines join the parts
            assert (bitmap >= mask).all()
            assert (bitmap & ~mask).sum() <= 8 * (parts - 1)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_by_the_definition(
    name: str, labelled: list[Labelled], tmp_path: Path
) -> None:
    written = write_format(name, labelled, tmp_path / "out")
    assert all(path.exists() for path in written)
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    compare(name, READ[name](tmp_path / "out"), labelled)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_by_the_tools_own_library(
    name: str, labelled: list[Labelled], tmp_path: Path
) -> None:
    """supervision, labelme, datumaro, label-studio-sdk; their NumPy is not ours."""
    if not READERS.exists():
        pytest.skip("needs the tools' own readers: `make readers`")
    folder, out = tmp_path / "out", tmp_path / "read.npz"
    write_format(name, labelled, folder)
    script = Path(__file__).with_name("read_back.py")
    words = [READERS, "-W", "ignore", script, name, folder, tmp_path / "images", out]
    quiet = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": ""}
    answer = subprocess.run(words, env=quiet, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    with np.load(out) as arrays:
        found: Read = {}
        for image in labelled:
            key = image.file_name.replace("/", "|")
            scores = arrays[f"{key} scores"].tolist() if f"{key} scores" in arrays else None
            found[image.file_name] = (list(arrays[key]), scores)
    compare(name, found, labelled)


def test_a_brush_by_hand() -> None:
    """Two rows of three pixels, the middle column inside: 24 values in five runs."""
    (mask,) = encode([[[0, 1, 0], [0, 1, 0]]])
    bits = f"{24:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    for length, value in ((4, 0), (4, 255), (8, 0), (4, 255), (4, 0)):
        bits += f"100{length - 1:03b}{value:08b}"
    bits += "0" * (-len(bits) % 8)
    assert brush(mask) == [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_images_that_would_share_a_file_are_refused() -> None:
    refuse_shared_files("yolo", ["a.jpg", "b.png", "deep/a.jpg"])
    refuse_shared_files("cvat", ["a.jpg", "a.png"])
    with pytest.raises(ValueError, match=r"labelme: a\.jpg and a\.png would share a label file"):
        refuse_shared_files("labelme", ["a.jpg", "b.jpg", "a.png"])
    with pytest.raises(ValueError, match=r"must be coco, yolo, labelme.*, got 'voc'"):
        refuse_shared_files("voc", [])
