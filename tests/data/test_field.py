"""What people's datasets are like, through `check` and `prepare`: said, counted, or refused."""

import copy
import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.coco import MARKED, CocoError, read_coco
from ggn.data.check import RESPELT, check_dataset
from ggn.data.images import read_image
from ggn.data.params import DataParams
from ggn.data.prepare import PreparedSplit, prepare

MASKS = {"cup": [[2, 2, 12, 2, 12, 12, 2, 12]], "kite": [[16, 4, 24, 4, 24, 14, 16, 14]]}
BOXES = {"cup": [2, 2, 10, 10], "kite": [16, 4, 8, 10]}
RUNS = {"size": [20, 30], "counts": [0, 600]}


def dataset(prefix: str) -> dict[str, Any]:
    """Two images, 30 wide and 20 high, with a cup and a kite each."""
    names = ("cup", "kite")
    return {
        "images": [
            {"id": i, "file_name": f"{prefix}{i}.png", "width": 30, "height": 20} for i in (1, 2)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, 1)],
        "annotations": [
            {
                "id": 2 * i + k,
                "image_id": i,
                "category_id": k,
                "iscrowd": 0,
                "segmentation": MASKS[name],
                "bbox": BOXES[name],
                "area": BOXES[name][2] * BOXES[name][3],
            }
            for i in (1, 2)
            for k, name in enumerate(names, 1)
        ],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with train.json, val.json and images/, whose pixels all differ."""
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for prefix in ("t", "v"):
        write(tmp_path, prefix, dataset(prefix))
        for i in (1, 2):
            pixels = random.integers(0, 255, (20, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"{prefix}{i}.png")
    return tmp_path


def write(root: Path, prefix: str, content: Any) -> Path:
    path = root / {"t": "train.json", "v": "val.json"}[prefix]
    path.write_text(json.dumps(content))
    return path


def prepared(root: Path, **params: Any) -> PreparedSplit:
    given = {"seen": ["cup"], **params}
    data = DataParams(
        root=str(root), train_annotations="train.json", val_annotations="val.json",
        train_images="images", val_images="images", **given,
    )  # fmt: skip
    split = prepare(data, root / "out", root / "out" / "seen.json")
    for name in ("seen", "hidden", "val"):  # later stages read these strictly
        read_coco(root / "out" / f"{name}.json")
    return split


def test_a_sound_dataset_is_prepared_without_a_word(root: Path) -> None:
    split = prepared(root)
    assert (split.mended, split.warnings) == ({}, [])
    assert split.counts == {
        "train_images": 2, "train_objects": 2, "hidden_objects": 2, "val_images": 2,
        "val_objects": 4, "dropped_objects": 0,
    }  # fmt: skip
    assert {"mended", "warnings"}.isdisjoint(json.loads((root / "out/split.json").read_text()))


# --- categories ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [["cup"], ["id:1"], [1], ["name:cup"]])
@pytest.mark.parametrize("place", [0, 2])
def test_an_unused_root_category_may_have_the_name_of_a_class(
    root: Path, place: int, seen: Any
) -> None:
    for prefix in ("t", "v"):
        content = dataset(prefix)
        content["categories"].insert(place, {"id": 0, "name": "kite"})
        assert check_dataset(write(root, prefix, content), root / "images").faults == []
    split = prepared(root, seen=seen)
    assert (split.seen, set(split.unseen)) == ((1,), {0, 2})
    assert prepared(root, seen=["kite"], unseen=["cup"]).seen == (2,)


def test_classes_named_by_digits_are_not_mistaken_for_ids(root: Path) -> None:
    for prefix in ("t", "v"):
        content = dataset(prefix)
        content["categories"] = [{"id": 1, "name": "2"}, {"id": 2, "name": "7"}]
        write(root, prefix, content)
    for word in (2, "2"):
        with pytest.raises(ValueError, match=r"say name:2\) or the category 2 '7' \(say id:2\)"):
            prepared(root, seen=[word])
    assert prepared(root, seen=["name:2"]).seen == (1,)
    assert prepared(root, seen=[7]).seen == (2,)


def test_a_name_spelt_otherwise_in_val_is_still_the_seen_category(root: Path) -> None:
    for prefix, name in (("t", "tasse à thé"), ("v", unicodedata.normalize("NFD", "tasse à thé "))):
        content = dataset(prefix)
        content["categories"][0]["name"] = name
        write(root, prefix, content)
    assert prepared(root, seen=["tasse à thé"]).unseen == (2,)


# --- what is mended -----------------------------------------------------------------------------


def test_what_is_mended_is_counted_by_kind_and_refused_by_strict(root: Path) -> None:
    content = dataset("t")
    first, second, third, fourth = content["annotations"]
    first["iscrowd"] = False
    second["iscrowd"] = None
    del third["area"]
    fourth["segmentation"] = [*MASKS["kite"], [3, 3, 4, 4]]
    path = write(root, "t", content)
    report = check_dataset(path, root / "images")
    assert report.faults == []
    assert sorted(report.mended.values()) == [1, 1, 2]
    assert len(check_dataset(path, strict=True).faults) == 4
    assert prepared(root).mended == {"train": report.mended}
    with pytest.raises(CocoError, match="iscrowd must be 0 or 1, got False"):
        prepared(root, strict=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_mended_and_refused_by_strict(root: Path, encoding: str) -> None:
    plain = prepared(root)
    path = root / "train.json"
    path.write_text(path.read_text(), encoding)
    report = check_dataset(path, root / "images")
    assert (report.faults, report.mended) == ([], {MARKED: 1})
    split = prepared(root)
    assert (split.mended, split.counts) == ({"train": {MARKED: 1}}, plain.counts)
    (fault,) = check_dataset(path, root / "images", strict=True).faults
    assert fault.reason == "starts with a byte order mark; save it as UTF-8 without one"
    with pytest.raises(CocoError, match="starts with a byte order mark"):
        prepared(root, strict=True)


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ("sub/t1.png", "sub\\t1.png"),
        ("ku\u0308che.png", "k\u00fcche.png"),
        ("k\u00fcche.png", "ku\u0308che.png"),
        ("\u00e9t\u00e9/t1.png", "e\u0301te\u0301\\t1.png"),
        ("my cup.png", "my%20cup.png"),
        ("sub/\u00e9t\u00e9.png", "sub/%C3%A9t%C3%A9.png"),
    ],
)
def test_a_file_under_another_spelling_is_found_and_its_name_written(
    root: Path, there: str, named: str
) -> None:
    (root / "images" / there).parent.mkdir(exist_ok=True)
    (root / "images/t1.png").rename(root / "images" / there)
    content = dataset("t")
    content["images"][0]["file_name"] = named
    path = write(root, "t", content)
    report = check_dataset(path, root / "images")
    assert (report.faults, report.mended) == ([], {RESPELT: 1})
    assert check_dataset(path, root / "images", strict=True).faults
    assert prepared(root).mended == {"train": {RESPELT: 1}}
    assert read_coco(root / "out/seen.json")["images"][0]["file_name"] == there


def test_no_spelling_leads_out_of_the_folder(root: Path) -> None:
    (root / "images/t1.png").rename(root / "t1.png")
    content = dataset("t")
    for name in ("%2E%2E/t1.png", "..%2Ft1.png", str(root / "t1.png").replace("/", "%2F"), "%00"):
        content["images"][0]["file_name"] = name
        (fault,) = check_dataset(write(root, "t", content), root / "images").faults
        assert fault.reason.endswith("no such file")


def test_backslashes_to_a_file_that_is_not_there_are_refused(root: Path) -> None:
    content = dataset("t")
    content["images"][0]["file_name"] = "other\\t1.png"
    (fault,) = check_dataset(write(root, "t", content), root / "images").faults
    assert fault.reason.endswith("no such file")
    for name in ("..\\t1.png", "C:\\t1.png"):
        content["images"][0]["file_name"] = name
        assert len(check_dataset(write(root, "t", content), root / "images").faults) == 1


def test_an_object_that_is_seen_and_hidden_is_said(root: Path) -> None:
    """Trained on as a cup, it would count as an unseen kite that the detector finds."""
    content = dataset("t")
    content["annotations"] += [
        {**record, "id": 10 + record["id"], "category_id": 3 - record["category_id"]}
        for record in content["annotations"]
    ]
    path = write(root, "t", content)
    warning = (
        "4 objects are listed again in another category, first annotations[4] (id 13): "
        "is the same object as annotations[0], in the category 1"
    )
    report = check_dataset(path, root / "images")
    assert (report.faults, report.warnings) == ([], [warning])
    for drop in (False, True):
        split = prepared(root, drop_faulty=drop)
        assert split.warnings == [f"{path}: {warning}"]
        assert split.counts["train_objects"] == split.counts["hidden_objects"] == 4


NUMBERS_ELSEWHERE = {
    "VIA": lambda r: r.update(image_id=str(r["image_id"]), iscrowd="0"),
    "pandas": lambda r: r.update({k: float(r[k]) for k in ("id", "image_id", "category_id")}),
    "Pascal VOC": lambda r: r.update(bbox=[*map(str, r["bbox"])], area=str(r["area"])),
    "flat": lambda r: r.update(segmentation=r["segmentation"][0]),
    "points": lambda r: r.update(
        segmentation=[[r["segmentation"][0][i : i + 2] for i in range(0, 8, 2)]]
    ),
}


@pytest.mark.parametrize("tool", NUMBERS_ELSEWHERE)
def test_values_in_another_form_are_read_and_counted(root: Path, tool: str) -> None:
    content = dataset("t")
    for record in content["annotations"]:
        NUMBERS_ELSEWHERE[tool](record)
    path = write(root, "t", content)
    report = check_dataset(path, root / "images")
    assert (report.faults, list(report.mended.values())) == ([], [4])
    assert next(iter(report.first.values())).startswith("annotations[0] (id 3")
    assert len(check_dataset(path, strict=True).faults) >= 4
    assert prepared(root).mended == {"train": report.mended}
    (seen, _) = read_coco(root / "out/seen.json")["annotations"]
    assert {key: seen[key] for key in ("image_id", "category_id", "bbox")} == {
        "image_id": 1, "category_id": 1, "bbox": BOXES["cup"],
    }  # fmt: skip
    assert seen["segmentation"] == MASKS["cup"]


def test_images_and_categories_in_another_form_are_read_and_counted(root: Path) -> None:
    content = dataset("t")
    content["images"][0] |= {"id": "1", "width": 30.0, "height": "20"}
    content["categories"][1] |= {"id": 2.0, "name": 7}
    report = check_dataset(write(root, "t", content), root / "images")
    assert (report.faults, sorted(report.mended.values())) == ([], [1, 2])
    assert prepared(root, seen=["name:7"], unseen=["kite"]).seen == (2,)
    content["images"][0] |= {"width": "31"}  # is still compared with the file
    (fault,) = check_dataset(write(root, "t", content), root / "images").faults
    assert fault.reason.endswith("30 wide and 20 high, but its record says 31 wide and 20 high")
    content["images"][0] |= {"id": "2", "width": 30}
    assert check_dataset(write(root, "t", content)).faults[0].reason.startswith("id 2 is already")


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [2, 3, 4, 6])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_image_that_viewers_turn_is_named_whatever_its_size(
    root: Path, orientation: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = root / "images" / f"t1.{suffix}"
    Image.new("RGB", (20, 20)).save(file, exif=exif)
    content = dataset("t")
    content["images"][0].update(file_name=file.name, width=20)
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] == 1]
    path = write(root, "t", content)
    (fault,) = check_dataset(path, root / "images").faults
    assert fault.where == "images[0] (id 1)"
    assert fault.reason.startswith(f"its EXIF orientation is {orientation}: viewers show it ")
    with pytest.raises(CocoError, match="its EXIF orientation is"):
        prepared(root)
    assert check_dataset(path, root / "images", ignore_exif=True).faults == []
    assert prepared(root, ignore_exif=True).counts["train_objects"] == 2


def test_16_bit_images_that_are_read_as_black_are_said_and_scaled_on_request(root: Path) -> None:
    content = dataset("t")
    for i, most in ((1, 1000), (2, 300)):
        grey = np.linspace(0, most, 600).astype(np.uint16).reshape(20, 30)
        Image.fromarray(grey).save(root / "images" / f"t{i}.tif")
        content["images"][i - 1]["file_name"] = f"t{i}.tif"
    (warning,) = check_dataset(write(root, "t", content), root / "images").warnings
    assert warning.startswith("2 of 2 16-bit images are nearly black when they are divided by 256")
    assert warning.endswith("1000, where 65535 is possible; data.bits: 10 divides by 4 instead")
    assert len(prepared(root).warnings) == 1
    split = prepared(root, bits=10)
    assert split.warnings == []
    names = [image["file_name"] for image in read_coco(root / "out/seen.json")["images"]]
    assert names == ["t1.tif.png", "t2.tif.png"]
    pixels = [read_image(Path(split.train_images) / name) for name in names]
    assert [image.max() for image in pixels] == [250, 75]


def test_16_bit_colour_that_is_read_as_black_is_said_and_scaled_on_request(root: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs scikit-image")
    content = dataset("t")
    for i, most in ((1, 1000), (2, 300)):
        colour = np.linspace(0, most, 1800).astype(np.uint16).reshape(20, 30, 3)
        tifffile.imwrite(root / "images" / f"t{i}.tif", colour, photometric="rgb")
        content["images"][i - 1]["file_name"] = f"t{i}.tif"
    (warning,) = check_dataset(write(root, "t", content), root / "images").warnings
    assert warning.startswith("2 of 2 16-bit images are nearly black when they are divided by 256")
    assert warning.endswith("1000, where 65535 is possible; data.bits: 10 divides by 4 instead")
    split = prepared(root, bits=10)
    assert split.warnings == []
    pixels = [read_image(Path(split.train_images) / f"t{i}.tif.png") for i in (1, 2)]
    assert [image.max() for image in pixels] == [250, 75]


def test_16_bits_in_use_are_no_warning(root: Path) -> None:
    content = dataset("t")
    Image.fromarray(np.full((20, 30), 60000, np.uint16)).save(root / "images/t1.png")
    assert check_dataset(write(root, "t", content), root / "images").warnings == []


# --- crowds and nothing to learn ----------------------------------------------------------------


def brushed(prefix: str, *ids: int) -> dict[str, Any]:
    """Objects that a tool has written as run lengths with `iscrowd: 1`."""
    content = dataset(prefix)
    for annotation in content["annotations"]:
        if annotation["id"] in ids:
            crowd = {"iscrowd": 1, "segmentation": RUNS, "bbox": [0, 0, 30, 20], "area": 600}
            annotation.update(crowd)
    return content


def test_crowds_are_counted_apart_and_said(root: Path) -> None:
    path = write(root, "t", brushed("t", 3, 4))
    report = check_dataset(path, root / "images")
    assert str(report.census) == "2 images, 2 objects, 2 crowds (which take no part)"
    (warning,) = report.warnings
    assert warning.startswith("all 2 masks as run lengths are crowds, 2 of 4 annotations")
    counts = prepared(root).counts
    assert (counts["train_objects"], counts["train_crowds"], counts["hidden_crowds"]) == (1, 1, 1)
    assert "val_crowds" not in counts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (brushed("t", 3, 4, 5, 6), "has no object but 2 crowds of the seen categories: cup"),
        (brushed("t", 3, 5), "has no object but 2 crowds of the seen categories: cup"),
        (
            {**dataset("t"), "annotations": dataset("t")["annotations"][1::2]},
            "has no object of the seen categories: cup",
        ),
        ({**dataset("t"), "annotations": []}, "has no object of the seen categories: cup"),
    ],
)
def test_nothing_to_learn_from_is_refused(root: Path, content: Any, reason: str) -> None:
    path = write(root, "t", copy.deepcopy(content))
    with pytest.raises(ValueError, match=reason):
        prepared(root)
    assert check_dataset(path, seen="cup").faults
    assert bool(check_dataset(path).faults) == all(a["iscrowd"] for a in content["annotations"])
    assert [f.where for f in check_dataset(write(root, "v", dataset("v")), seen="cop").faults] == [
        "categories"
    ]


def test_a_list_of_images_without_categories_may_have_no_object(root: Path) -> None:
    path = write(root, "t", {**dataset("t"), "categories": [], "annotations": []})
    assert check_dataset(path, root / "images").faults == []
    assert prepared(root, seen="all").counts["train_objects"] == 0


def test_dropping_more_than_a_share_needs_a_word(root: Path) -> None:
    content = dataset("t")
    content["annotations"][1]["area"] = -1
    write(root, "t", content)
    with pytest.raises(ValueError, match=r"25% of the annotations are faulty \(area 1\); raise"):
        prepared(root, drop_faulty=True)
    split = prepared(root, drop_faulty=True, max_dropped=0.25)
    assert (split.dropped["train"], split.counts["dropped_objects"]) == ({"area": 1}, 1)
    for annotation in content["annotations"]:
        annotation["bbox"] = [1, 1, 0, 0]
    write(root, "t", content)
    with pytest.raises(ValueError, match="has no object of the seen categories"):
        prepared(root, drop_faulty=True, max_dropped=1.0)


# --- twice --------------------------------------------------------------------------------------


def test_what_is_listed_twice_is_counted_and_left_out_on_request(root: Path) -> None:
    content = dataset("t")
    again = [{**a, "id": a["id"] + 100} for a in content["annotations"]]
    content["annotations"] += again
    content["images"].append({**content["images"][0], "id": 9})
    path = write(root, "t", content)
    report = check_dataset(path, root / "images")
    assert report.faults == []
    assert [warning.partition(",")[0] for warning in report.warnings] == [
        "1 images are listed more than once",
        "4 objects are listed more than once",
    ]
    split = prepared(root)
    assert len(split.warnings) == 2
    assert split.counts["train_objects"] == 4
    split = prepared(root, drop_faulty=True)
    assert split.warnings == []
    assert (split.counts["train_images"], split.counts["train_objects"]) == (2, 2)
    assert split.dropped["train"] == {"repeated": 4}


def saved_anew(source: Path, target: Path) -> None:
    """The same pixels in another file."""
    Image.open(source).save(target, compress_level=0)
    assert source.read_bytes() != target.read_bytes()


@pytest.mark.parametrize("write_again", [shutil.copyfile, saved_anew, os.link, os.symlink])
def test_a_picture_under_two_names_is_said(root: Path, write_again: Any) -> None:
    content = dataset("t")
    content["images"].append({**content["images"][0], "id": 9, "file_name": "other/copy.png"})
    (root / "images/other").mkdir()
    write_again(root / "images/t1.png", root / "images/other/copy.png")
    path = write(root, "t", content)
    report = check_dataset(path, root / "images")
    said = "1 images show the pixels of another one, first other/copy.png those of t1.png"
    assert (report.faults, report.warnings) == ([], [said])
    assert prepared(root).warnings == [f"{path}: {said}"]


def test_pictures_that_differ_in_one_pixel_are_two(root: Path) -> None:
    pixels = np.array(Image.open(root / "images/t1.png"))
    pixels[7, 9, 1] ^= 1
    Image.fromarray(pixels).save(root / "images/t2.png")
    assert check_dataset(root / "train.json", root / "images").warnings == []


@pytest.mark.parametrize("dim", [False, True])
def test_16_bit_pictures_are_the_same_if_their_files_are(root: Path, dim: bool) -> None:
    """Both would be black when they are divided by 256."""
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30) // 4 + (0 if dim else 10**4)
    for i in (1, 2):
        Image.fromarray(pixels).save(root / f"images/t{i}.png")
        pixels[3, 5] += 1
    said = check_dataset(root / "train.json", root / "images").warnings
    assert not any("pixels of another" in warning for warning in said)
    shutil.copyfile(root / "images/t1.png", root / "images/t2.png")
    said = check_dataset(root / "train.json", root / "images").warnings
    assert sum("pixels of another" in warning for warning in said) == 1


@pytest.mark.parametrize("shares", ["the file", "a copy", "the pixels", "nothing"])
def test_images_that_training_and_validation_share_are_said(root: Path, shares: str) -> None:
    content = dataset("v")
    if shares == "the file":
        content["images"][1]["file_name"] = "t2.png"
    elif shares == "a copy":
        (root / "images/v2.png").write_bytes((root / "images/t1.png").read_bytes())
    elif shares == "the pixels":
        saved_anew(root / "images/t1.png", root / "images/v2.png")
    write(root, "v", content)
    warnings = prepared(root).warnings
    assert len(warnings) == (shares != "nothing")
    for warning in warnings:
        assert warning.startswith("1 of 2 validation images are training images, first ")
