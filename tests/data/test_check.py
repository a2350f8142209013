"""The table of faulty files: what `ggn check` lists for each."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.coco import read_coco
from ggn.data.check import check_dataset, inspect_images

ANNOTATIONS = "annotations/instances_train2017.json"


def check(root: Path) -> list[str]:
    """The faults of the training part, without the root's path."""
    faults = check_dataset(root / ANNOTATIONS, root / "train2017").faults
    return [str(fault).replace(f"{root}/", "") for fault in faults]


def edit(root: Path, change: Callable[[Any], Any]) -> None:
    dataset = json.loads((root / ANNOTATIONS).read_text())
    change(dataset)
    (root / ANNOTATIONS).write_text(json.dumps(dataset))


def test_a_valid_dataset_has_no_fault(tiny_coco: Path) -> None:
    assert check(tiny_coco) == []
    assert check_dataset(tiny_coco / ANNOTATIONS).faults == []


def save(path: Path, height: int, width: int, **options: Any) -> None:
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, **options)


def save_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    save(path, 56, 40, exif=exif)


def save_float(path: Path) -> None:
    Image.fromarray(np.zeros((40, 56), np.float32)).save(path, format="TIFF")


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


B = f"{ANNOTATIONS}: images[1] (id 8): train2017/b.jpg: "
IMAGES = [
    (lambda path: path.unlink(), "no such file"),
    (into_folder, "is a folder, not an image"),
    (lambda path: path.write_bytes(b""), "is not an image"),
    (lambda path: path.write_text("<html>404</html>"), "is not an image"),
    (lambda path: path.write_bytes(path.read_bytes()[:400]), "Truncated File Read"),
    (lambda path: path.write_bytes(path.read_bytes()[:-900]), "image file is truncated"),
    (
        lambda path: save(path, 40, 57),
        "is 57 wide and 40 high, but its record says 56 wide and 40 high",
    ),
    (
        lambda path: save(path, 56, 40),
        "is 40 wide and 56 high, but its record says 56 wide and 40 high",
    ),
    (
        save_rotated,
        "is 40 wide and 56 high, but its record says 56 wide and 40 high; "
        "its EXIF tag says to rotate it: store it rotated, without the tag",
    ),
    (save_float, "has 32-bit or signed pixels; store 8 or 16 bits without a sign"),
]


@pytest.mark.parametrize(("damage", "reason"), IMAGES)
def test_faulty_image_file(tiny_coco: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(tiny_coco / "train2017/b.jpg")
    (fault,) = check(tiny_coco)
    assert re.sub(r" \(\d+ bytes not processed\)", "", fault) == B + reason


FILES = [
    (lambda path: path.unlink(), "file: does not exist"),
    (lambda path: path.write_bytes(b""), "not JSON: the file is empty"),
    (lambda path: path.write_text("{"), "not JSON: Expecting property name enclosed in"),
    (lambda path: path.write_text('{"a": NaN}'), "a: is NaN, which is not valid JSON"),
    (
        lambda path: path.write_text("[]"),
        "top level: must be an object with images, categories and annotations, got []",
    ),
    (
        lambda path: path.write_text('{"images": 1, "categories": [], "annotations": []}'),
        "images: must be a list, got 1",
    ),
]


@pytest.mark.parametrize(("damage", "reason"), FILES)
def test_faulty_annotation_file(
    tiny_coco: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(tiny_coco / ANNOTATIONS)
    (fault,) = check(tiny_coco)
    assert fault.startswith(f"{ANNOTATIONS}: {reason}")


def test_a_missing_image_folder_is_one_fault(tiny_coco: Path) -> None:
    shutil.rmtree(tiny_coco / "train2017")
    assert check(tiny_coco) == [f"{ANNOTATIONS}: images: the image folder train2017 does not exist"]


def test_an_image_outside_its_folder_is_never_opened(tiny_coco: Path) -> None:
    edit(tiny_coco, lambda dataset: dataset["images"][1].update(file_name="../train2017/b.jpg"))
    assert check(tiny_coco) == [
        f"{ANNOTATIONS}: images[1] (id 8): file_name must stay inside the image folder, "
        "got '../train2017/b.jpg'"
    ]


def test_faults_of_records_and_of_image_files_are_listed_together(tiny_coco: Path) -> None:
    def change(dataset: Any) -> None:
        dataset["images"][0]["width"] = 0
        dataset["annotations"][5]["image_id"] = 99

    edit(tiny_coco, change)
    (tiny_coco / "train2017/a.png").unlink()
    (tiny_coco / "train2017/nothing.jpg").unlink()
    assert check(tiny_coco) == [
        f"{ANNOTATIONS}: images[0] (id 7): width must be an integer >= 1, got 0",
        f"{ANNOTATIONS}: annotations[5] (id 81): image_id 99 is not the id of any of the images",
        f"{ANNOTATIONS}: images[3] (id 10): train2017/nothing.jpg: no such file",
    ]


def test_image_faults_of_a_checked_dataset(tiny_coco: Path) -> None:
    dataset = read_coco(tiny_coco / ANNOTATIONS)
    images = dataset["images"]
    assert inspect_images(images, "x.json", tiny_coco / "train2017").faults == []
    (tiny_coco / "train2017/a.png").unlink()
    (fault,) = inspect_images(images, "x.json", tiny_coco / "train2017").faults
    assert (fault.file, fault.where) == ("x.json", "images[0] (id 7)")


def test_genuine_images_have_no_fault(shared: Path) -> None:
    data = shared / "data"
    for file, images in (
        ("coco650/annotations/dense_val2017.json", "coco650/val2017"),
        ("nuclei108/annotations/instances_val.json", "nuclei108/val"),
    ):
        report = check_dataset(data / file, data / images)
        assert (report.faults, report.mended, report.warnings) == ([], {}, [])
