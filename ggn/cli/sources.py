"""The images that a call names: files, folders, globs, a COCO file, a list on standard input."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ggn.core.coco import CocoError, read_json
from ggn.core.mending import mend
from ggn.data.files import find_image

SUFFIXES: Final = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Suffixes of images in folders and globs. A file that is named itself may have any suffix."""


@dataclass(frozen=True)
class Photograph:
    """An image as the call names it; it may not exist or not be an image."""

    image_id: int
    path: Path
    file_name: str
    """Relative to the folder of its `Source`, with forward slashes."""
    size_hw: tuple[int, int] | None
    """Height and width in its COCO record; None without a COCO file."""


@dataclass(frozen=True)
class Source:
    """All images of a call, each once."""

    photographs: list[Photograph]
    folder: Path
    """The folder that the file names are relative to."""
    dataset: Path | None
    """The COCO file with the image ids; None if images are numbered from 1."""
    others: int
    """Number of files in folders that are left out because of their suffix."""

    def picture_names(self) -> dict[int, str]:
        """Return the file name of each image's picture, by id: the image's, but with .png.

        Images that differ only in their suffix keep it: `a.jpg.png` and `a.tif.png`.
        """
        bare = {p.image_id: str(Path(p.file_name).with_suffix("")) for p in self.photographs}
        uses = Counter(bare.values())
        return {
            p.image_id: (bare[p.image_id] if uses[bare[p.image_id]] == 1 else p.file_name) + ".png"
            for p in self.photographs
        }


def find_images(
    words: Sequence[str],
    *,
    images: Path | None,
    recursive: bool,
    lines: Iterable[str],
    out: Path,
) -> Source:
    """Return the images that the words of a call name, in this order; within a folder by name.

    Args:
        words: files, folders, globs, `-`, or one COCO file.
        images: folder of the COCO file's images; by default the folder of the file itself.
        recursive: whether folders are searched to any depth.
        lines: standard input, one path per line; read if a word is `-`.
        out: the folder of the results, which is not searched.

    Raises:
        CocoError: the records of the COCO file are faulty.
        ValueError: a word names nothing, or can't be combined with the others.
    """
    if "" in words:
        raise ValueError("an image argument must not be an empty string")
    datasets = [word for word in words if word.lower().endswith(".json")]
    if datasets:
        if len(words) > 1:
            raise ValueError(
                f"{datasets[0]}: a COCO file must be the only argument, because it gives the ids"
            )
        return _of_dataset(Path(datasets[0]), images)
    if images is not None:
        raise ValueError(f"--images {images}: needs a COCO file as the argument")
    found, absent, others = dict[Path, Path](), list[str](), 0  # by absolute path, as it is named
    for word in words:
        paths, left_out = _named(word, recursive, lines, out)
        others += left_out
        if not paths:
            absent.append(_absent(word, recursive))
        for path in paths:
            found.setdefault(_absolute(path), path)
    if absent:
        raise ValueError("\n".join(absent))
    folder = Path(os.path.commonpath([path.parent for path in found]))
    photographs = [
        Photograph(index, path, place.relative_to(folder).as_posix(), None)
        for index, (place, path) in enumerate(found.items(), start=1)
    ]
    return Source(photographs, folder, None, others)


def _named(word: str, recursive: bool, lines: Iterable[str], out: Path) -> tuple[list[Path], int]:
    """Return the paths that a word names, and how many other files were left out."""
    if word == "-":
        named = [line.removeprefix("\ufeff").rstrip("\r\n") for line in lines]
        return [Path(line) for line in named if line.strip()], 0
    if Path(word).is_dir():
        inside = sorted(_files(Path(word), recursive))
    elif Path(word).exists():
        return [Path(word)], 0
    else:
        names = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 (it takes absolute ones)
        inside = [Path(name) for name in names if Path(name).is_file()]
    kept = [path for path in inside if path.suffix.lower() in SUFFIXES]
    others, own = len(inside) - len(kept), _absolute(out)
    return [path for path in kept if own not in _absolute(path).parents], others


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the files of a folder that are not hidden."""
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield Path(entry.path)
        elif recursive and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), recursive)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.normpath(Path(path).absolute()))  # symbolic links are not followed


def _absent(word: str, recursive: bool) -> str:
    if word == "-":
        return "-: standard input is empty"
    if Path(word).is_dir():
        deeper = "" if recursive else "; --recursive also searches subfolders"
        return f"{word}: has no file with the suffix of an image{deeper}"
    return f"{word}: no such file, and no image matches it"


def _of_dataset(path: Path, images: Path | None) -> Source:
    dataset: Any = read_json(path)
    if isinstance(dataset, dict):  # only its images count
        dataset = {**dataset, "categories": [], "annotations": []}
    done = mend(dataset, str(path))
    if done.faults:
        raise CocoError(done.faults)
    dataset = done.dataset
    folder = path.parent if images is None else images
    if not folder.is_dir():
        raise ValueError(f"--images {folder}: no such folder")
    photographs = []
    for record in dataset["images"]:
        name = find_image(folder, record["file_name"])
        size_hw = (record["height"], record["width"])
        photographs.append(Photograph(record["id"], folder / name, name, size_hw))
    return Source(photographs, folder, path, 0)
