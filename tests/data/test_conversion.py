"""Official files become COCO style: worked trees of each layout, kills, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.core.coco import read_json
from ggn.core.masks import areas, encode
from ggn.data import ade20k, bbbc038, coco, imagenet, lvis, uvo
from ggn.data.check import check_dataset
from ggn.data.conversion import Part, convert_parts, label_records
from ggn.data.splits import resolve_categories
from ggn.data.synsets import COCO_SYNSETS

MODULES = {
    "coco": coco,
    "lvis": lvis,
    "lvis_v0.5": lvis,
    "uvo": uvo,
    "ade20k": ade20k,
    "ade20k_challenge": ade20k,
    "imagenet": imagenet,
    "bbbc038": bbbc038,
}
Official = Callable[[str, Path], Path]


def silent(items: Sequence[Any], _: str) -> Iterable[Any]:
    return items


def run(name: str, source: Path, out: Path, *, drop: bool = False) -> dict[str, Any]:
    parts: list[Part] = MODULES[name].parts(source)
    done = convert_parts(parts, out, drop=drop, progress=silent)
    return {path.stem: read_json(path) for path, _ in done}


@pytest.fixture
def converted(official: Official, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    return lambda name: run(name, official(name, tmp_path / name), tmp_path / "out")


@pytest.mark.parametrize("name", MODULES)
def test_every_output_passes_the_check(name: str, official: Official, tmp_path: Path) -> None:
    source = official(name, tmp_path / name)
    files = run(name, source, tmp_path / "out")
    for stem in files:
        assert check_dataset(tmp_path / "out" / f"{stem}.json", source).faults == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{s}.json" for s in files}


def test_lvis_keeps_synsets_and_federated_lists(converted: Any) -> None:
    files = converted("lvis")
    first, *_, last = files["val"]["images"]
    assert first["file_name"] == "train2017/000000000101.jpg"
    assert last["file_name"] == "val2017/000000000104.jpg"
    assert first["neg_category_ids"] == [5]
    assert first["not_exhaustive_category_ids"] == [81]
    categories = files["val"]["categories"]
    assert resolve_categories(categories, "coco") == tuple(range(1, 81))
    assert resolve_categories(categories, "noncoco") == (81,)
    assert categories[80]["name"] == "piñata"


def test_lvis_v05_takes_its_images_from_coco_2017(converted: Any) -> None:
    files = converted("lvis_v0.5")
    assert files["train"]["images"][0]["file_name"] == "train2017/000000000001.jpg"
    assert files["val"]["images"][0]["file_name"] == "val2017/000000000101.jpg"


def test_synsets_tell_apart_what_names_would_confuse() -> None:
    """COCO's cow is LVIS's `beef.n.01`; a mouse that is an animal is not COCO's."""
    categories = [
        {"id": i, "name": str(i), "synset": synset}
        for i, synset in enumerate([*COCO_SYNSETS.values(), "mouse.n.01", "cow.n.01"])
    ]
    assert resolve_categories(categories, "noncoco") == (80, 81)
    assert COCO_SYNSETS["cow"] == "beef.n.01"
    assert len(set(COCO_SYNSETS.values())) == len(COCO_SYNSETS) == 80
    with pytest.raises(ValueError, match=r"'coco' needs a synset, which categories lack: dog"):
        resolve_categories([{"id": 1, "name": "dog"}], "coco")
    with pytest.raises(ValueError, match=r"lacks: person\.n\.01"):
        resolve_categories([c for c in categories if c["synset"] != "person.n.01"], "noncoco")


def test_hot_dogs_are_sausages_where_lvis_has_no_hot_dogs() -> None:
    """v1 dropped v0.5's synset; where both are there, a sausage is not COCO's."""
    v05 = [{"id": i, "name": s, "synset": s} for i, s in enumerate(COCO_SYNSETS.values())]
    v05 += [{"id": 99, "name": "sausage", "synset": "sausage.n.01"}]
    hot_dog = list(COCO_SYNSETS).index("hot dog")
    assert resolve_categories(v05, "noncoco") == (99,)
    v1 = [c for c in v05 if c["id"] != hot_dog]
    assert resolve_categories(v1, "noncoco") == ()
    assert len(resolve_categories(v1, "coco")) == 80
    with pytest.raises(ValueError, match=r"lacks: sausage\.n\.01"):
        resolve_categories(v1[:-1], "coco")


def test_uvo_says_its_set_and_counts_videos_and_frames_once(converted: Any) -> None:
    files = converted("uvo")
    dense = files["dense_val"]
    assert dense["info"] == {"dataset": "uvo", "set": "dense val", "videos": 2}
    names = [image["file_name"].split("/", 1)[1] for image in dense["images"]]
    assert names == ["-8hCaPXfY0Y/0.png", "-8hCaPXfY0Y/1.png", "Ünïcode_1/0.png", "Ünïcode_1/1.png"]
    assert [a["image_id"] for a in dense["annotations"]] == [1, 3]
    assert dense["annotations"][0]["area"] == 192
    assert dense["annotations"][0]["bbox"] == [8, 8, 16, 12]
    frame = files["frame_val"]
    assert {a["category_id"] for a in frame["annotations"]} == {1}
    assert [a["iscrowd"] for a in frame["annotations"]] == [0, 1]
    assert len(frame["images"]) == 2
    sparse = files["sparse_val"]
    assert sparse["info"] == {"dataset": "uvo", "set": "sparse val", "videos": 1}
    assert [(a["area"], a["bbox"]) for a in sparse["annotations"]] == [(192, [8, 8, 16, 12])]
    assert [i["file_name"] for i in sparse["images"]] == [i["file_name"] for i in frame["images"]]


def test_ade20k_takes_whole_objects_and_no_parts(converted: Any) -> None:
    val = converted("ade20k")["val"]
    found = [(a["category_id"], a["area"], a["bbox"]) for a in val["annotations"]]
    assert found == [
        (300, 192, [8, 8, 12, 16]),
        (300, 192, [20, 8, 12, 16]),
        (7, 128, [36, 28, 16, 8]),
    ]
    assert val["categories"] == [
        {"id": 7, "name": "panneau café"},
        {"id": 300, "name": "car, auto"},
    ]


def test_ade20k_challenge_reads_red_and_green(converted: Any) -> None:
    val = converted("ade20k_challenge")["val"]
    assert [a["category_id"] for a in val["annotations"]] == [3, 3, 100] * 2
    assert {a["image_id"] for a in val["annotations"]} == {2, 3}
    assert areas([a["segmentation"] for a in val["annotations"]]).tolist() == [192, 192, 128] * 2


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (5, 7), (12, 30)])
def test_labels_of_a_map_are_the_masks_of_its_values(size_hw: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        labels = random.integers(0, 5, size_hw).astype(np.int32) * 1000
        records = label_records(labels)
        assert sorted(records) == [key for key in np.unique(labels).tolist() if key > 0]
        for key, record in records.items():
            (rle,) = encode((labels == key)[None])
            assert record["segmentation"] == rle
            assert record["area"] == (labels == key).sum()
            rows, columns = np.nonzero(labels == key)
            x, y = columns.min(), rows.min()
            assert record["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]


def test_imagenet_is_a_list_of_images(converted: Any) -> None:
    train = converted("imagenet")["train"]
    assert train["annotations"] == train["categories"] == []
    assert train["info"]["classes"] == 2
    assert [image["id"] for image in train["images"]] == [1, 2, 3, 4, 5, 6]
    assert train["images"][1]["file_name"] == "train/n01440764/n01440764_10.JPEG"


@pytest.mark.parametrize("name", MODULES)
def test_killed_after_any_image_it_ends_in_the_same_bytes(
    name: str, official: Official, tmp_path: Path
) -> None:
    source = official(name, tmp_path / name)
    run(name, source, tmp_path / "undisturbed")
    parts = MODULES[name].parts(source)

    def killed(limit: int) -> Callable[[Sequence[Any], str], Iterable[Any]]:
        def progress(items: Sequence[Any], _: str) -> Iterable[Any]:
            yield from items[:limit]
            raise KeyboardInterrupt

        return progress

    out = tmp_path / "out"
    for limit in range(3):
        with pytest.raises(KeyboardInterrupt):
            list(convert_parts(parts, out, drop=False, progress=killed(limit)))
        assert not list(out.glob("*.json"))
        log = next(out.glob(".*.log"))
        log.write_bytes(log.read_bytes() + b'{"cut off')
    run(name, source, out)
    for path in (tmp_path / "undisturbed").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_finished_images_are_not_converted_again(official: Official, tmp_path: Path) -> None:
    (part,) = imagenet.parts(official("imagenet", tmp_path / "imagenet"))
    seen: list[str] = []

    def convert(item: str) -> Any:
        seen.append(item)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return part.convert(item)

    counted = Part(part.name, part.source, part.items, convert, [], part.info)
    with pytest.raises(KeyboardInterrupt):
        list(convert_parts([counted], tmp_path / "out", drop=False, progress=silent))
    list(convert_parts([counted], tmp_path / "out", drop=False, progress=silent))
    assert seen == [*part.items[:4], *part.items[3:]]


def test_faulty_annotations_are_left_out_on_request(official: Official, tmp_path: Path) -> None:
    source = official("coco", tmp_path / "coco")
    change(source / "annotations/instances_train2017.json", "annotations", 0, "bbox", [1, 1, 0, 4])
    files = run("coco", source, tmp_path / "out", drop=True)
    assert files["train"]["info"]["dropped"] == {"bbox": 1}
    assert files["val"]["info"]["dropped"] == {}


def test_colours_that_no_file_names_are_left_out_on_request(
    official: Official, tmp_path: Path
) -> None:
    source = official("ade20k", tmp_path / "ade20k")
    (source / f"{ADE}.json").write_text('{"annotation": {"object": []}}')
    files = run("ade20k", source, tmp_path / "out", drop=True)
    assert files["train"]["info"]["dropped"] == {"category_id": 3}
    assert len(files["val"]["annotations"]) == 3


def change(path: Path, section: str, index: int, key: str, value: Any) -> None:
    document = json.loads(path.read_text())
    document[section][index][key] = value
    path.write_text(json.dumps(document))


def drop_key(path: Path, section: str, index: int, key: str) -> None:
    document = json.loads(path.read_text())
    del document[section][index][key]
    path.write_text(json.dumps(document))


COCO = "annotations/instances_train2017.json"
LVIS = "annotations/lvis_v1_train.json"
DENSE, FRAME = "VideoDenseSet/UVO_video_val_dense.json", "FrameSet/UVO_frame_val.json"
SPARSE = "VideoSparseSet/UVO_sparse_val_video.json"
ADE = "images/ADE/training/urban/café/ADE_train_00000001"
RED = "annotations_instance/training/ADE_training_2.png"
PHOTO = "train/n01440764/n01440764_1.JPEG"

MALFORMED: list[tuple[str, Callable[[Path], object], str]] = [
    ("coco", shutil.rmtree, r"no such folder; get train2017\.zip"),
    ("coco", lambda s: shutil.rmtree(s / "val2017"), r"lacks val2017; get train2017\.zip"),
    ("coco", lambda s: (s / COCO).write_text("{"), r"instances_train2017\.json: not JSON"),
    ("coco", lambda s: (s / COCO).write_text("[]"), r"top level: must be an object, got list"),
    ("coco", lambda s: (s / COCO).write_text("{}"), r"images: must be a list, got nothing"),
    (
        "coco",
        lambda s: change(s / COCO, "annotations", 0, "image_id", 77),
        r"annotations\[0\] \(id 20\): image_id 77 is not the id of any of the images",
    ),
    (
        "coco",
        lambda s: change(s / COCO, "annotations", 0, "category_id", 99),
        r"annotations\[0\] .*category_id 99 is not the id of any of the categories",
    ),
    (
        "coco",
        lambda s: drop_key(s / COCO, "images", 0, "file_name"),
        r"image 1: file_name must be of type str, got nothing",
    ),
    (
        "coco",
        lambda s: (s / "train2017/000000000001.jpg").unlink(),
        r"instances_train2017\.json: image 1: its image .*000000000001\.jpg: no such file; get",
    ),
    ("lvis", lambda s: (s / LVIS).unlink(), r"lacks lvis_v1_train\.json; get lvis_v1"),
    (
        "lvis",
        lambda s: shutil.rmtree(s / "annotations"),
        r"lacks lvis_v1_train\.json and lvis_v1_val\.json",
    ),
    (
        "lvis",
        lambda s: change(s / LVIS, "images", 0, "neg_category_ids", [5, 5000]),
        r"image 1: neg_category_ids has 5000, which is not the id of any of the categories",
    ),
    (
        "lvis",
        lambda s: drop_key(s / LVIS, "images", 1, "not_exhaustive_category_ids"),
        r"image 2: not_exhaustive_category_ids must be of type list, got nothing",
    ),
    (
        "lvis",
        lambda s: drop_key(s / LVIS, "categories", 3, "synset"),
        r"categories\[3\] \(id 4\): synset must be of type str, got nothing",
    ),
    (
        "lvis",
        lambda s: change(s / LVIS, "images", 0, "coco_url", "http://x/test/1.jpg"),
        r"image 1: coco_url must end in train2017/NAME or val2017/NAME, got 'http://x/test/1\.jpg'",
    ),
    ("lvis", lambda s: change(s / LVIS, "images", 0, "coco_url", 7), r"coco_url must be of type"),
    ("uvo", lambda s: shutil.rmtree(s / "uvo_videos_dense_frames"), r"lacks uvo_videos_dense_fra"),
    (
        "uvo",
        lambda s: [(s / name).unlink() for name in (DENSE, FRAME, SPARSE)],
        r"has none of FrameSet/UVO_frame_val\.json, VideoDenseSet",
    ),
    (
        "uvo",
        lambda s: change(s / DENSE, "annotations", 0, "video_id", 9),
        r"annotation 1: video_id 9 is not the id of any of the videos",
    ),
    (
        "uvo",
        lambda s: change(s / DENSE, "annotations", 0, "segmentations", [None]),
        r"annotation 1: segmentations must be one per frame \(2\), got 1",
    ),
    (
        "uvo",
        lambda s: (s / "uvo_videos_dense_frames/-8hCaPXfY0Y/1.png").unlink(),
        r"frame -8hCaPXfY0Y/1\.png: its image .*: no such file; get",
    ),
    (
        "uvo",
        lambda s: change(s / FRAME, "annotations", 0, "segmentation", [[1, 2]]),
        r"UVO_frame_val\.json: frame -8hCaPXfY0Y/30\.png: ",
    ),
    ("ade20k", lambda s: shutil.rmtree(s / "images/ADE/validation"), r"lacks images/ADE/valid"),
    (
        "ade20k",
        lambda s: (s / f"{ADE}_seg.png").unlink(),
        r"ADE_train_00000001\.jpg: its annotation .*_seg\.png: no such file; get ADE20K",
    ),
    ("ade20k", lambda s: (s / f"{ADE}.json").unlink(), r"0001\.json: no such file; get ADE20K"),
    ("ade20k", lambda s: (s / f"{ADE}.json").write_text("{"), r"00001\.json: not JSON"),
    (
        "ade20k",
        lambda s: (s / f"{ADE}.json").write_text('{"annotation": {"object": []}}'),
        r"images/ADE/training: annotations\[0\] .*category_id 300 is not the id of any of the cat",
    ),
    (
        "ade20k",
        lambda s: (s / f"{ADE}.json").write_text('{"annotation": {"object": [{"parts": {}}]}}'),
        r"object\[0\]: name_ndx must be of type int, got nothing",
    ),
    (
        "ade20k_challenge",
        lambda s: Image.fromarray(np.full((48, 64, 3), 101, np.uint8)).save(s / RED),
        r"_2\.png: red: red must be a category from 0 to 100, got 101",
    ),
    (
        "ade20k_challenge",
        lambda s: Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(s / RED),
        r"_2\.png: size: must be 64 wide and 48 high as .*, got 6 wide and 4 high",
    ),
    ("imagenet", lambda s: shutil.rmtree(s / "train"), r"lacks train; get ILSVRC2012_img_train"),
    ("imagenet", lambda s: (s / "train/cats").mkdir(), r"cats: must be folders named as n0144"),
    ("imagenet", lambda s: (s / "train/n00000001").mkdir(), r"n00000001: has no \.JPEG"),
    ("imagenet", lambda s: (s / PHOTO).write_text("no"), r"n01440764_1\.JPEG: is not an image"),
]


@pytest.mark.parametrize(("name", "harm", "message"), MALFORMED)
def test_a_malformed_source_is_refused_by_name(
    name: str,
    harm: Callable[[Path], object],
    message: str,
    official: Official,
    tmp_path: Path,
) -> None:
    source = official(name, tmp_path / name)
    harm(source)
    with pytest.raises(ValueError, match=message) as refusal:
        run(name, source, tmp_path / "out")
    assert str(source) in str(refusal.value)
    assert not list(tmp_path.glob("out/[!f]*.json"))  # the frame set may be done by then
