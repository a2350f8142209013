"""BBBC038: masks of pixels and of runs, kinds of nuclei by kind of image, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.coco import read_json
from ggn.core.masks import decode
from ggn.data.bbbc038 import parts
from ggn.data.conversion import convert_parts

Official = Callable[[str, Path], Path]
MASK = "stage1_train/a1/masks/m.png"
SOLUTION = "stage1_solution.csv"


def run(source: Path, out: Path) -> dict[str, Any]:
    done = convert_parts(parts(source), out, drop=False, progress=lambda items, _: items)
    return {path.stem: read_json(path) for path, _ in done}


@pytest.fixture
def source(official: Official, tmp_path: Path) -> Path:
    return official("bbbc038", tmp_path / "bbbc038")


def test_each_mask_is_a_nucleus_whose_image_says_its_kind(source: Path, tmp_path: Path) -> None:
    """Of the two in fluorescence, that of 100 pixels is small and that of 576 large."""
    train = run(source, tmp_path / "out")["train"]
    assert [image["file_name"] for image in train["images"]] == [
        "stage1_train/a1/images/a1.png",
        "stage1_train/b2/images/b2.png",
        "stage1_train/c3/images/c3.png",
    ]
    names = {category["id"]: category["name"] for category in train["categories"]}
    found = [(a["image_id"], names[a["category_id"]], a["bbox"]) for a in train["annotations"]]
    assert found == [
        (1, "small fluorescent nucleus", [4, 4, 10, 10]),
        (1, "large fluorescent nucleus", [30, 20, 24, 24]),
        (2, "stained nucleus", [4, 4, 10, 10]),
        (2, "stained nucleus", [30, 20, 24, 24]),
        (3, "bright-field nucleus", [4, 4, 10, 10]),
        (3, "bright-field nucleus", [30, 20, 24, 24]),
    ]


def test_runs_of_the_solution_go_column_by_column_from_one(source: Path, tmp_path: Path) -> None:
    """Of 48 rows: 1 2 and 49 2 are the upper left square of 2; 3070 3 ends in the last pixel."""
    val = run(source, tmp_path / "out")["val"]
    first, second, third, other = (
        decode([record["segmentation"]], (48, 64))[0] for record in val["annotations"]
    )
    expected = np.zeros((2, 48, 64))
    expected[0, :2, :2] = 1
    expected[1, 4:7, 2] = 1
    expected[1, 45:, 63] = 1
    assert np.array_equal([first, second], expected)
    assert third.sum() == 600
    assert third.T.ravel()[1000:1600].all()
    assert np.array_equal(third, other)
    kinds = [(record["image_id"], record["category_id"]) for record in val["annotations"]]
    assert kinds == [(1, 1), (1, 1), (1, 2), (2, 3)]
    assert val["info"]["set"] == "stage1_test"


@pytest.mark.parametrize(("side", "category"), [(20, 1), (25, 2)])
def test_a_fluorescent_nucleus_is_large_from_500_pixels_on(
    side: int, category: int, source: Path, tmp_path: Path
) -> None:
    bitmap = np.zeros((48, 64), dtype=np.uint8)
    bitmap[:side, : 500 // 25] = 1  # 20 x 20 = 400, 25 x 20 = 500
    Image.fromarray(bitmap).save(source / MASK)
    record = run(source, tmp_path / "out")["train"]["annotations"][0]
    assert (record["area"], record["category_id"]) == (20 * side, category)


@pytest.mark.parametrize(
    ("colour", "category"),
    [
        ((127, 127, 127), 1),
        ((128, 128, 128), 4),
        ((20, 20, 24), 1),
        ((20, 20, 25), 3),
        ((200, 200, 204), 4),
        ((200, 200, 205), 3),
    ],
)
def test_colour_and_brightness_of_the_image_tell_the_kind(
    colour: tuple[int, int, int], category: int, source: Path, tmp_path: Path
) -> None:
    """Stained from a difference of 5 between channels on; else bright field from a grey of 128."""
    Image.new("RGB", (64, 48), colour).save(source / "stage1_train/a1/images/a1.png")
    record = run(source, tmp_path / "out")["train"]["annotations"][0]
    assert (record["area"], record["category_id"]) == (100, category)


def test_the_training_set_alone_will_do(source: Path, tmp_path: Path) -> None:
    (source / SOLUTION).unlink()
    shutil.rmtree(source / "stage1_test")
    assert list(run(source, tmp_path / "out")) == ["train"]


def row(runs: str, size: str = "48,64", name: str = "d4") -> str:
    rest = "e5,1 2,48,64,Public"
    return f"ImageId,EncodedPixels,Height,Width,Usage\n{name},{runs},{size},Public\n{rest}\n"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shutil.rmtree, r"no such folder; get stage1_train\.zip"),
        (lambda s: shutil.rmtree(s / "stage1_train"), r"lacks stage1_train; get stage1_train"),
        (lambda s: shutil.rmtree(s / "stage1_test"), r"lacks stage1_test; get stage1_train"),
        (
            lambda s: [shutil.rmtree(f) for f in (s / "stage1_test").iterdir()],
            r"test: has no ID/images",
        ),
        (lambda s: shutil.rmtree(s / "stage1_train/a1/masks"), r"a1\.png: its folder has no masks"),
        (
            lambda s: Image.new("L", (6, 4)).save(s / MASK),
            r"m\.png: size: must be 64 wide and 48 high as .*a1\.png, got 6 wide and 4 high",
        ),
        (lambda s: Image.new("L", (64, 48)).save(s / MASK), r"stage1_train: annotations\[0\]"),
        (lambda s: (s / MASK).write_text("no"), r"m\.png: is not an image"),
        (lambda s: (s / SOLUTION).write_text("ImageId,Height\n"), r"line 1: .*lacks EncodedPixels"),
        (lambda s: (s / SOLUTION).write_text(row("1 2 3")), r"line 2: EncodedPixels must be pairs"),
        (lambda s: (s / SOLUTION).write_text(row("1 -2")), r"line 2: EncodedPixels must be pairs"),
        (lambda s: (s / SOLUTION).write_text(row("0 2")), r"line 2: EncodedPixels must be pairs"),
        (lambda s: (s / SOLUTION).write_text(row("1 0")), r"line 2: EncodedPixels must be pairs"),
        (lambda s: (s / SOLUTION).write_text(row("9 2 1 2")), r"EncodedPixels must be pairs"),
        (lambda s: (s / SOLUTION).write_text(row("3072 2")), r"EncodedPixels must be pairs"),
        (
            lambda s: (s / SOLUTION).write_text(row("1 2", "64,48")),
            r"line 2: Height and Width must be those of the image, \(48, 64\), got \('64', '48'\)",
        ),
        (lambda s: (s / SOLUTION).write_text(row("1 2", name="x")), r"stage1_test has no image x"),
        (
            lambda s: (s / SOLUTION).write_text("ImageId,EncodedPixels,Height,Width\n"),
            r"d4: has no row, but there is stage1_test/d4/images/d4\.png",
        ),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    harm: Callable[[Path], object], message: str, source: Path, tmp_path: Path
) -> None:
    harm(source)
    with pytest.raises(ValueError, match=message) as refusal:
        run(source, tmp_path / "out")
    assert str(source) in str(refusal.value)


def test_real_nuclei_come_back_as_they_were(shared: Path, tmp_path: Path) -> None:
    """A published COCO copy, laid out as the official archive is, converts to the same masks."""
    dataset = json.loads((shared / "data/nuclei108/annotations/instances_val.json").read_text())
    images = dataset["images"][:3]
    masks: dict[str, list[Any]] = {}
    for image in images:
        name = image["image_id_full"]
        folder = tmp_path / "source" / "stage1_train" / name
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        photo = shared / "data/nuclei108/val" / image["file_name"]
        shutil.copy(photo, folder / "images" / f"{name}.png")
        own = [a["segmentation"] for a in dataset["annotations"] if a["image_id"] == image["id"]]
        masks[f"stage1_train/{name}/images/{name}.png"] = own
        size_hw = (image["height"], image["width"])
        for index, bitmap in enumerate(decode(own, size_hw)):
            Image.fromarray(bitmap * 255).save(folder / "masks" / f"{index:04}.png")
    train = run(tmp_path / "source", tmp_path / "out")["train"]
    for image in train["images"]:
        own = [a["segmentation"] for a in train["annotations"] if a["image_id"] == image["id"]]
        assert own == masks[image["file_name"]]
