"""BBBC038: nuclei under the microscope, of the Data Science Bowl 2018; one PNG per nucleus."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault
from ggn.core.masks import RLE, area_and_box, encode, from_runs
from ggn.data.conversion import Converted, Part, Record, SourceError, image_record, require
from ggn.data.images import read_image

WHERE = (
    "get stage1_train.zip, stage1_test.zip and stage1_solution.csv of BBBC038v1 from "
    "bbbc.broadinstitute.org"
)
LARGE = 500
"""Pixels from which on a fluorescent nucleus counts as large: about 25 across."""
COLOURED = 5.0
"""Mean difference of an image's largest and smallest channel from which on it is stained tissue."""
BRIGHT = 128.0
"""Median grey from which on a grey image is bright field, not fluorescence."""
CATEGORIES = [
    {"id": 1, "name": "small fluorescent nucleus"},
    {"id": 2, "name": "large fluorescent nucleus"},
    {"id": 3, "name": "stained nucleus"},
    {"id": 4, "name": "bright-field nucleus"},
]
"""BBBC038 has one category. What kind of image it is tells these apart, and in fluorescence the
size of the nucleus."""


def parts(source: Path) -> list[Part]:
    """Return train (stage1_train) and, if stage1_solution.csv is there, val (stage1_test).

    In training each nucleus is a PNG of the size of the image, STAGE/ID/masks/*.png; in the test
    set it is a row of the solution: pixels from 1, column by column, as pairs of start and length.

    Raises:
        SourceError: naming what is missing.
        CocoError: naming the row of the solution that is malformed.
    """
    require(source, ["stage1_train"], WHERE)
    found = [_train(source)]
    solution = source / "stage1_solution.csv"
    if solution.exists():
        require(source, ["stage1_test"], WHERE)
        found.append(_val(source, solution))
    return found


def _train(source: Path) -> Part:
    def convert(item: str) -> Converted:
        image, pixels = _image(source, item)
        masks = sorted((source / item).parents[1].glob("masks/*.png"))
        if not masks:
            raise SourceError(f"{source / item}: its folder has no masks/*.png; {WHERE}")
        return image, _records([_mask(path, image) for path in masks], pixels)

    stage = "stage1_train"
    info = {"dataset": "bbbc038v1", "set": stage}
    return Part("train", source / stage, _images(source, stage), convert, CATEGORIES, info)


def _val(source: Path, solution: Path) -> Part:
    rows = _rows(solution)

    def convert(item: str) -> Converted:
        image, pixels = _image(source, item)
        name = Path(item).stem
        if name not in rows:
            raise CocoError([Fault(str(solution), name, f"has no row, but there is {item}")])
        return image, _records([_drawn(solution, *row, image) for row in rows[name]], pixels)

    stage = "stage1_test"
    items = _images(source, stage)
    if lost := sorted(rows.keys() - {Path(item).stem for item in items}):
        raise SourceError(f"{solution}: {stage} has no image {lost[0]}; {WHERE}")
    info = {"dataset": "bbbc038v1", "set": stage}
    return Part("val", solution, items, convert, CATEGORIES, info)


def _images(source: Path, stage: str) -> list[str]:
    found = sorted(p.relative_to(source).as_posix() for p in source.glob(f"{stage}/*/images/*.png"))
    if not found:
        raise SourceError(f"{source / stage}: has no ID/images/ID.png; {WHERE}")
    return found


def _image(source: Path, item: str) -> tuple[Record, NDArray[np.uint8]]:
    return image_record(source, item, str(source / item), WHERE), read_image(source / item)


def _mask(path: Path, image: Record) -> RLE:
    bitmap = read_image(path)[:, :, 0]
    if bitmap.shape != (image["height"], image["width"]):
        wanted = f"{image['width']} wide and {image['height']} high as {image['file_name']}"
        got = f"{bitmap.shape[1]} wide and {bitmap.shape[0]} high"
        raise CocoError([Fault(str(path), "size", f"must be {wanted}, got {got}")])
    return encode(bitmap[None])[0]


def _rows(solution: Path) -> dict[str, list[tuple[int, Record]]]:
    """Return the rows of the solution, each with its line, by image."""
    with solution.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        needed = ("ImageId", "EncodedPixels", "Height", "Width")
        if lacking := [name for name in needed if name not in (reader.fieldnames or ())]:
            reason = f"must have the columns {', '.join(needed)}, lacks {', '.join(lacking)}"
            raise CocoError([Fault(str(solution), "line 1", reason)])
        rows: dict[str, list[tuple[int, Record]]] = {}
        for row in reader:
            rows.setdefault(row["ImageId"], []).append((reader.line_num, row))
    return rows


def _drawn(solution: Path, line: int, row: Record, image: Record) -> RLE:
    """Return the mask of a row: alternating start, from 1, and length."""
    size_hw = (image["height"], image["width"])
    given = (row["Height"], row["Width"])
    if given != (str(size_hw[0]), str(size_hw[1])):
        reason = f"Height and Width must be those of the image, {size_hw}, got {given}"
        raise CocoError([Fault(str(solution), f"line {line}", reason)])
    words = (row["EncodedPixels"] or "").split()
    numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
    edges = [0]
    for start, length in zip(numbers[::2], numbers[1::2], strict=False):
        edges += [start - 1, start - 1 + length]
    edges.append(size_hw[0] * size_hw[1])
    counts = [after - before for before, after in pairwise(edges)]
    odd = len(numbers) < len(words) or len(words) % 2 == 1
    if odd or min(counts) < 0 or min(numbers[1::2], default=0) < 1:
        reason = (
            "EncodedPixels must be pairs of a start from 1 and a length, in ascending order and "
            f"within the image, got {row['EncodedPixels']!r:.60}"
        )
        raise CocoError([Fault(str(solution), f"line {line}", reason)])
    return from_runs(counts, size_hw)


def _records(rles: list[RLE], pixels: NDArray[np.uint8]) -> list[Record]:
    """Return segmentation, area, bbox and category of each nucleus of an image (H, W, 3)."""
    records = [{"segmentation": rle, **area_and_box(rle)} for rle in rles]
    colour = float(np.mean(pixels.max(axis=2) - pixels.min(axis=2)))
    if colour >= COLOURED:
        kinds = [3] * len(records)
    elif np.median(pixels) >= BRIGHT:
        kinds = [4] * len(records)
    else:
        kinds = [2 if record["area"] >= LARGE else 1 for record in records]
    return [{"category_id": k, **record} for k, record in zip(kinds, records, strict=True)]
