"""Finds images that training and validation share, and writes copies of images at 8 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from ggn.core.files import sha256
from ggn.data.images import read_image

Records = Sequence[Mapping[str, Any]]


def shared_images(train: Records, train_dir: Path, val: Records, val_dir: Path) -> list[str]:
    """Return a warning if validation images are also training images, with count and first.

    Images are the same if they are the same file, or files of the same bytes.

    Args:
        train: image records, whose files exist.
        train_dir: folder that their names are relative to.
        val: image records, whose files exist.
        val_dir: folder that their names are relative to.
    """
    by_size: dict[int, list[Path]] = {}
    for image in train:
        path = train_dir / image["file_name"]
        by_size.setdefault(path.stat().st_size, []).append(path)
    paths = [val_dir / image["file_name"] for image in val]
    alike = [(path, by_size[size]) for path in paths if (size := path.stat().st_size) in by_size]
    files = {path for path, others in alike for path in (path, *others)}
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(files, pool.map(sha256, files), strict=True))
    pairs = [
        (path, next(other for other in others if digests[other] == digests[path]))
        for path, others in alike
        if digests[path] in {digests[other] for other in others}
    ]
    if not pairs:
        return []
    path, other = pairs[0]
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
