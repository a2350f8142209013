"""ADE20K: scenes whose objects are colours of a PNG, in the full and the challenge's format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault
from ggn.data.conversion import (
    Converted,
    Part,
    Record,
    SourceError,
    image_record,
    label_records,
    require,
    take,
)
from ggn.data.images import read_image

WHERE = (
    "get ADE20K_2021_17_01.zip from ade20k.csail.mit.edu (register), or images and "
    "annotations_instance of the instance segmentation challenge from sceneparsing.csail.mit.edu"
)
FOLDERS = {"train": "training", "val": "validation"}


def parts(source: Path) -> list[Part]:
    """Return train and val, of the challenge's format if annotations_instance is there.

    The challenge's PNG has the category (1 to 100) in red and the instance in green. The full
    format's `_seg.png` has category R / 10 * 256 + G and the instance in blue; its JSON names the
    categories; it outlines walls and sky, too. Parts of objects (`_parts_N.png`) are not objects.

    Raises:
        SourceError: naming what is missing.
    """
    if (source / "annotations_instance").is_dir():
        folders = [f"{top}/{f}" for f in FOLDERS.values() for top in ("images", _CHALLENGE)]
        require(source, folders, WHERE)
        return [_challenge_part(source, name, folder) for name, folder in FOLDERS.items()]
    require(source, [f"images/ADE/{folder}" for folder in FOLDERS.values()], WHERE)
    return [_full_part(source, name, folder) for name, folder in FOLDERS.items()]


_CHALLENGE = "annotations_instance"
_NUMBERS = 26 * 256
"""How many category numbers the colours R / 10 * 256 + G can tell apart."""


def _images(source: Path, folder: str, pattern: str) -> list[str]:
    found = sorted(path.relative_to(source).as_posix() for path in (source / folder).glob(pattern))
    if not found:
        raise SourceError(f"{source / folder}: has no {pattern}; {WHERE}")
    return found


def _challenge_part(source: Path, name: str, folder: str) -> Part:
    def convert(item: str) -> Converted:
        path = source / _CHALLENGE / folder / f"{Path(item).stem}.png"
        image, colours = _with_colours(source, item, path)
        red, green = colours[:, :, 0], colours[:, :, 1]
        if red.max() > len(categories):
            reason = f"red must be a category from 0 to {len(categories)}, got {red.max()}"
            raise CocoError([Fault(str(path), "red", reason)])
        instances = np.where(red > 0, red.astype(np.int32) * 256 + green, 0)
        return image, [
            {"category_id": key // 256, **record}
            for key, record in label_records(instances).items()
        ]

    categories = [{"id": key, "name": f"ade20k instance category {key}"} for key in range(1, 101)]
    items = _images(source, f"images/{folder}", "*.jpg")
    info = {"dataset": "ade20k challenge", "set": name}
    return Part(name, source / _CHALLENGE / folder, items, convert, categories, info)


def _full_part(source: Path, name: str, folder: str) -> Part:
    def convert(item: str) -> Converted:
        stem = source / item.removesuffix(".jpg")
        image, colours = _with_colours(source, item, stem.with_name(f"{stem.name}_seg.png"))
        names = _category_names(stem.with_name(f"{stem.name}.json"))
        red, green, blue = (colours[:, :, channel].astype(np.int32) for channel in range(3))
        numbers = red // 10 * 256 + green
        instances = np.where((blue > 0) & (numbers > 0), blue * _NUMBERS + numbers, 0)
        return image, [
            {**_category(key % _NUMBERS, names), **record}
            for key, record in label_records(instances).items()
        ]

    items = _images(source, f"images/ADE/{folder}", "**/*.jpg")
    info = {"dataset": "ade20k full", "set": name}
    return Part(name, source / "images/ADE" / folder, items, convert, None, info)


def _with_colours(source: Path, item: str, path: Path) -> tuple[Record, NDArray[np.uint8]]:
    """Return the image record and its colours (H, W, 3), which must be of the same size."""
    image = image_record(source, item, str(source / item), WHERE)
    try:
        colours = read_image(path)
    except FileNotFoundError as error:
        raise SourceError(f"{source / item}: its annotation {error}; {WHERE}") from error
    if colours.shape[:2] != (image["height"], image["width"]):
        wanted = f"{image['width']} wide and {image['height']} high as {item}"
        got = f"{colours.shape[1]} wide and {colours.shape[0]} high"
        raise CocoError([Fault(str(path), "size", f"must be {wanted}, got {got}")])
    return image, colours


def _category(number: int, names: dict[int, str]) -> Record:
    """Return the number and its name; a number without a name is found to be faulty later."""
    name = {"category_name": names[number]} if number in names else {}
    return {"category_id": number, **name}


def _category_names(path: Path) -> dict[int, str]:
    """Return the names of whole objects by `name_ndx`; some files are Latin-1, not UTF-8."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file; {WHERE}")
    content = path.read_bytes()
    try:
        try:
            document = json.loads(content.decode("utf-8"))
        except UnicodeDecodeError:
            document = json.loads(content.decode("latin-1"))
    except ValueError as error:
        raise CocoError([Fault(str(path), "not JSON", str(error))]) from error
    annotation = take(document if isinstance(document, dict) else {}, "annotation", dict, path, "")
    names = {}
    for index, record in enumerate(take(annotation, "object", list, path, "annotation")):
        where = f"object[{index}]"
        if not isinstance(record, dict):
            raise CocoError([Fault(str(path), where, f"must be an object, got {record!r}")])
        level = take(record, "parts", dict, path, where).get("part_level", 0)
        if level == 0:
            number = take(record, "name_ndx", int, path, where)
            names[number] = take(record, "name", str, path, where)
    return names
