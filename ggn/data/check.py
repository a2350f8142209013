"""Checking a COCO-style dataset with its image files."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ggn.core.census import Census, take_census
from ggn.core.coco import (
    MARK_REFUSED,
    MARKED,
    CocoError,
    Fault,
    has_byte_order_mark,
    read_json,
)
from ggn.core.mending import mend
from ggn.data.categories import used_categories
from ggn.data.copies import Picture, same_pictures
from ggn.data.files import find_image
from ggn.data.images import ImageFacts, verify_image
from ggn.data.splits import resolve_text

RESPELT: Final = "file names found in another spelling (Unicode form, backslashes, %20)"
DARK: Final = 2**12
"""16-bit images whose values all lie below this are nearly black: their upper 4 bits are 0."""

_SHOWN: Final = {
    2: "mirrored",
    3: "turned by 180°",
    4: "upside down",
    5: "mirrored and turned",
    6: "turned by 90°",
    7: "mirrored and turned",
    8: "turned by 270°",
}


@dataclass(frozen=True)
class Report:
    """The result of checking a dataset."""

    faults: list[Fault]
    mended: dict[str, int] = field(default_factory=dict)
    """How many records are mended on reading, by kind."""
    first: dict[str, str] = field(default_factory=dict)
    """The first such record, by kind."""
    warnings: list[str] = field(default_factory=list)
    census: Census | None = None
    """None if records are faulty."""


@dataclass(frozen=True)
class ImageReport:
    """The result of checking the image files of a dataset."""

    faults: list[Fault]
    names: dict[int, str]
    """The actual file names of images whose records spell them differently, by position."""
    warnings: list[str]
    dark: list[str] = field(default_factory=list)
    """A warning of 16-bit images that `bits` would mend."""
    pictures: list[Picture] = field(default_factory=list)
    """Those that could be read."""


def check_dataset(
    annotations_path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    seen: str | None = None,
    strict: bool = False,
    ignore_exif: bool = False,
) -> Report:
    """Report on an annotation file and, if their folder is given, on its images.

    If the record of an image is faulty, its file is not checked.

    Args:
        annotations_path: of a COCO-style file.
        images_dir: folder that the images' `file_name` is relative to.
        seen: categories that must have an object, as words between commas.
        strict: mend nothing; duplicates are faults, too.
        ignore_exif: masks refer to the stored pixels, whatever the EXIF orientation says.
    """
    path = Path(annotations_path)
    try:
        is_marked, dataset = has_byte_order_mark(path), read_json(path)
    except FileNotFoundError:
        return Report(
            [Fault(str(path), "file", "is a folder" if path.is_dir() else "does not exist")]
        )
    except CocoError as error:
        return Report(error.faults)
    done = mend(dataset, str(path), strict=strict)
    faults, mended, first = done.faults, dict(done.mended), dict(done.first)
    if is_marked and strict:
        faults.insert(0, Fault(str(path), "not JSON", MARK_REFUSED))
    elif is_marked:
        mended[MARKED], first[MARKED] = 1, "at byte 0"
    warnings = repetition_warnings(done.repeated)
    census = None
    if not faults:
        census = take_census(done.dataset)
        warnings += census.warnings
        faults += _learning_faults(done.dataset, str(path), census, seen)
    is_without_images = any(f.section != "annotations" and f.index is None for f in done.faulty)
    if images_dir is not None and not is_without_images:
        images = inspect_images(
            done.dataset["images"],
            str(path),
            images_dir,
            left_out={finding.index for finding in done.faulty if finding.section == "images"},
            strict=strict,
            ignore_exif=ignore_exif,
        )
        faults += images.faults
        warnings += images.warnings + images.dark
        if images.names:
            mended[RESPELT] = len(images.names)
            first[RESPELT] = f"images[{min(images.names)}]"
    return Report(faults, mended, first, warnings, census)


def repetition_warnings(repeated: Sequence[Fault]) -> list[str]:
    """Return a sentence on each kind of duplicates, with their count and the first.

    The kinds are images, objects, and objects in several categories.
    """
    kinds: dict[str, list[Fault]] = {}
    for fault in repeated:
        what = f"{fault.where.partition('[')[0]}".replace("annotations", "objects")
        said = "again in another category" if fault.kind == "relabelled" else "more than once"
        kinds.setdefault(f"{what} are listed {said}", []).append(fault)
    return [
        f"{len(faults)} {kind}, first {faults[0].where}: {faults[0].reason}"
        for kind, faults in kinds.items()
    ]


def inspect_images(
    images: Sequence[Mapping[str, Any]],
    file: str,
    images_dir: str | os.PathLike[str],
    *,
    left_out: Container[int | None] = (),
    strict: bool = False,
    ignore_exif: bool = False,
) -> ImageReport:
    """Look for images that are missing, unreadable, truncated, of another size, turned or black.

    Pictures that are there twice, under other names, are a warning.

    Args:
        images: records of a dataset.
        file: name of the annotation file, for the messages.
        images_dir: folder that the images' `file_name` is relative to.
        left_out: positions of the images that are not checked.
        strict: don't look for other spellings of a name.
        ignore_exif: an EXIF orientation is not a fault.
    """
    folder = Path(images_dir)
    if not folder.is_dir():
        missing = Fault(file, "images", f"the image folder {folder} does not exist")
        return ImageReport([missing], {}, [])
    chosen = [(index, image) for index, image in enumerate(images) if index not in left_out]
    names = {
        index: name
        for index, image in ([] if strict else chosen)
        if (name := find_image(folder, image["file_name"])) != image["file_name"]
    }
    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        looked = pool.map(
            lambda entry: _look(folder, names.get(entry[0], entry[1]["file_name"]), entry[1]),
            chosen,
        )
        facts = {index: seen for (index, _), seen in zip(chosen, looked, strict=True)}
    faults = [
        Fault(file, f"images[{index}] (id {images[index]['id']})", reason)
        for index, seen in facts.items()
        if (reason := seen if isinstance(seen, str) else _turned(seen, ignore_exif))
    ]
    pictures = {
        index: Picture(folder / names.get(index, images[index]["file_name"]), seen)
        for index, seen in facts.items()
        if isinstance(seen, ImageFacts)
    }
    twice, dark = _twice_warnings(images, pictures), _dark_warnings(images, facts)
    return ImageReport(faults, names, twice, dark, list(pictures.values()))


def _look(folder: Path, name: str, image: Mapping[str, Any]) -> ImageFacts | str:
    """Return facts about an image file, or why it is faulty."""
    try:
        return verify_image(folder / name, (image["height"], image["width"]))
    except (OSError, ValueError) as error:
        return str(error)


def _turned(facts: ImageFacts, ignore_exif: bool) -> str:
    if facts.orientation == 1 or ignore_exif:
        return ""
    return (
        f"its EXIF orientation is {facts.orientation}: viewers show it "
        f"{_SHOWN[facts.orientation]}, but training reads it as stored, and the masks may "
        "refer to either; store it as it is shown, without the tag, or, if the masks refer to "
        "the stored pixels, use --ignore-exif or data.ignore_exif"
    )


def _dark_warnings(
    images: Sequence[Mapping[str, Any]], facts: Mapping[int, ImageFacts | str]
) -> list[str]:
    deep = {i: f.brightest for i, f in facts.items() if isinstance(f, ImageFacts)}
    brightest = {index: value for index, value in deep.items() if value is not None}
    dark = [index for index, value in brightest.items() if value < DARK]
    if not dark:
        return []
    most = max(brightest.values())
    bits = max(9, most.bit_length())
    advice = f"; data.bits: {bits} divides by {2 ** (bits - 8)} instead" if bits < 16 else ""
    return [
        f"{len(dark)} of {len(brightest)} 16-bit images are nearly black when they are divided by "
        f"256, first {images[dark[0]]['file_name']}; the largest value of all images is {most}, "
        "where 65535 is possible" + advice
    ]


def _twice_warnings(
    images: Sequence[Mapping[str, Any]], pictures: Mapping[int, Picture]
) -> list[str]:
    """Return a warning of pictures under several names; records of one name are said elsewhere."""
    places = list(pictures)
    names = {index: str(PurePosixPath(images[index]["file_name"])) for index in places}
    same = same_pictures(list(pictures.values()))
    pairs = [(names[places[later]], names[places[first]]) for later, first in same.items()]
    pairs = [(later, first) for later, first in pairs if later != first]
    if not pairs:
        return []
    later, first = pairs[0]
    return [f"{len(pairs)} images show the pixels of another one, first {later} those of {first}"]


def _learning_faults(
    dataset: Mapping[str, Any], file: str, census: Census, seen: str | None
) -> list[Fault]:
    """Return a fault if there is nothing to learn from or to find."""
    if not dataset["categories"]:  # a list of images, for pseudo ground truth alone
        return []
    if not census.objects:
        crowds = f", only {census.crowds} crowds" if census.crowds else ""
        reason = f"has no object to learn from or to find{crowds}"
        return [Fault(file, "annotations", reason)]
    if seen is None:
        return []
    try:
        ids = resolve_text(dataset["categories"], seen, used_categories(dataset["annotations"]))
    except ValueError as error:
        return [Fault(file, "categories", f"--seen: {error}")]
    reason = nothing_seen(dataset, ids)
    return [Fault(file, "annotations", reason)] if reason else []


def nothing_seen(dataset: Mapping[str, Any], seen: Container[int]) -> str:
    """Return why there is nothing to learn from: no object of a seen category. "" if there is."""
    chosen = [a for a in dataset["annotations"] if a["category_id"] in seen]
    if any(not a.get("iscrowd") for a in chosen):
        return ""
    names = [c["name"] for c in dataset["categories"] if c["id"] in seen]
    crowds = f" but {len(chosen)} crowds" if chosen else ""
    return f"has no object{crowds} of the seen categories: {', '.join(names[:20])}"
