"""Checking a COCO-style dataset with its image files."""

import os
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ggn.core.coco import CocoError, Fault, read_json
from ggn.core.faults import findings
from ggn.data.images import verify_image


def check_dataset(
    annotations_path: str | os.PathLike[str], images_dir: str | os.PathLike[str] | None = None
) -> list[Fault]:
    """Return every fault of an annotation file and, if their folder is given, of its images.

    The file of an image whose record is faulty is not looked at.
    """
    path = Path(annotations_path)
    try:
        dataset = read_json(path)
    except FileNotFoundError:
        return [Fault(str(path), "file", "does not exist")]
    except CocoError as error:
        return error.faults
    found = list(findings(dataset, str(path)))
    faults = [finding.fault for finding in found]
    if images_dir is None or any(f.section != "annotations" and f.index is None for f in found):
        return faults
    faulty = {finding.index for finding in found if finding.section == "images"}
    return faults + _image_faults(dataset["images"], str(path), Path(images_dir), faulty)


def image_faults(
    dataset: Mapping[str, Any], file: str, images_dir: str | os.PathLike[str]
) -> list[Fault]:
    """Return a fault for each image that is missing, unreadable, cut off or of another size.

    Args:
        dataset: with valid image records.
        file: name of the annotation file, for the messages.
        images_dir: folder that the images' `file_name` is relative to.
    """
    return _image_faults(dataset["images"], file, Path(images_dir), set())


def _image_faults(
    images: Sequence[Mapping[str, Any]], file: str, folder: Path, left_out: Container[int | None]
) -> list[Fault]:
    if not folder.is_dir():
        return [Fault(file, "images", f"the image folder {folder} does not exist")]
    checked = [(index, image) for index, image in enumerate(images) if index not in left_out]
    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        reasons = pool.map(lambda entry: _reason(entry[1], folder), checked)
        return [
            Fault(file, f"images[{index}] (id {image['id']})", reason)
            for (index, image), reason in zip(checked, reasons, strict=True)
            if reason is not None
        ]


def _reason(image: Mapping[str, Any], folder: Path) -> str | None:
    try:
        verify_image(folder / image["file_name"], (image["height"], image["width"]))
    except (OSError, ValueError) as error:
        return str(error)
    return None
