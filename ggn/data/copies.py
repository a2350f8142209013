"""Finds pictures that are the same under other names, and writes copies of images at 8 bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ggn.core.files import sha256
from ggn.data.images import ImageFacts, read_image


@dataclass(frozen=True)
class Picture:
    """An image file that could be read."""

    path: Path
    facts: ImageFacts


def same_pictures(pictures: Sequence[Picture]) -> dict[int, int]:
    """Return the position of the first picture with the same pixels, by that of each other one.

    Only pictures that look alike are read in full, each once. 16-bit images are the same if their
    files have the same bytes.
    """
    by_look: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures):
        by_look.setdefault(picture.facts.coarse, []).append(index)
    alike = [index for group in by_look.values() if len(group) > 1 for index in group]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(lambda index: _digest(pictures[index]), alike)
        found = dict(zip(alike, digests, strict=True))
    first: dict[str, int] = {}
    same = {index: first.setdefault(found[index], index) for index in sorted(alike)}
    return {index: other for index, other in same.items() if index != other}


def _digest(picture: Picture) -> str:
    if picture.facts.brightest is not None:
        return sha256(picture.path)
    pixels = read_image(picture.path)
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def shared_images(train: Sequence[Picture], val: Sequence[Picture]) -> list[str]:
    """Return a warning if validation images are also training images, with count and first.

    Images are the same if they have the same pixels, whatever their names and files.
    """
    same = same_pictures([*train, *val])
    pairs = [(i, first) for i, first in same.items() if first < len(train) <= i]
    if not pairs:
        return []
    path, other = val[pairs[0][0] - len(train)].path, train[pairs[0][1]].path
    which = path.as_posix() + ("" if path == other else f" is {other.as_posix()}")
    return [f"{len(pairs)} of {len(val)} validation images are training images, first {which}"]


def write_scaled(images: list[dict[str, Any]], source: Path, target: Path, bits: int) -> Path:
    """Write images of up to 16 bits as 8-bit PNG, update their records, and return the folder.

    Args:
        images: records; their `file_name` becomes that of the copy.
        source: folder of the images.
        target: folder of the copies.
        bits: as in `ggn.data.images.read_image`.
    """
    for image in images:
        name = image["file_name"]
        copy = name if name.lower().endswith(".png") else f"{name}.png"
        path = target / copy
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(read_image(source / name, bits=bits)).save(path)
        image["file_name"] = copy
    return target
