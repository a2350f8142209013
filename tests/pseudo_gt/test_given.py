"""Masks that somebody else has found as candidates: every usual file, and those of another set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core import Instances
from ggn.core.coco import CocoError
from ggn.core.masks import encode
from ggn.data.mask_store import MaskStoreWriter
from ggn.pseudo_gt.given import MASK_FEATURE_NAMES, from_source
from ggn.store.work import Work

IMAGES: list[dict[str, Any]] = [{"id": key, "height": 4, "width": 6} for key in (1, 2, 3)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Image 1 has a mask, image 2 none; image 3 is not there."""
    bitmap = np.zeros((1, 4, 6), dtype=bool)
    bitmap[:, :, :2] = True
    masks = Instances(encode(bitmap), np.array([0.5], dtype=np.float32), (4, 6))
    with MaskStoreWriter(tmp_path / "store") as writer:
        writer.add(1, masks, [0.0])
        writer.add(2, Instances.empty((4, 6)), [])
    return tmp_path / "store"


def test_every_image_has_the_masks_of_the_store_or_none(store: Path) -> None:
    one, two, three = from_source(store, IMAGES)([1, 2, 3])
    assert [item.image_id for item in (one, two, three)] == [1, 2, 3]
    assert (one.instances.areas.tolist(), one.instances.scores.tolist()) == ([8], [0.5])
    assert one.features.shape == (1, len(MASK_FEATURE_NAMES))
    assert (len(two.instances), len(three.instances)) == (0, 0)


def test_a_store_of_another_set_is_refused(store: Path) -> None:
    with pytest.raises(
        ValueError, match=r"store: has none of the 1 images; is it for another dataset\?"
    ):
        from_source(store, [{"id": 9, "height": 4, "width": 6}])
    extract = from_source(store, [{"id": 1, "height": 8, "width": 6}])
    with pytest.raises(ValueError, match=r"image 1 must be \(8, 6\), got \(4, 6\)"):
        list(extract([1]))


def square(left: int, size: tuple[int, int] = (4, 6)) -> dict[str, Any]:
    """Two columns of pixels, uncompressed."""
    height, width = size
    runs = [left * height, 2 * height, (width - left - 2) * height]
    return {"size": list(size), "counts": runs}


RECORDS: list[dict[str, Any]] = [
    {"segmentation": square(0), "score": 0.25, "image_id": 1},
    {"segmentation": square(2), "score": 0.75, "image_id": 1},
    {"segmentation": [[4, 0, 6, 0, 6, 4, 4, 4]], "score": 0.5, "image_id": 2},
    {"segmentation": square(0), "score": 0.5, "image_id": 77},
]
NAMED = [{**image, "file_name": f"photos/p{image['id']}.jpg"} for image in IMAGES]


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def per_image(path: Path, name: str) -> None:
    path.mkdir()
    for image_id in (1, 2):
        records = [record for record in RECORDS if record["image_id"] == image_id]
        (path / f"{name}{image_id}.json").write_text(json.dumps(records))


def sam(path: Path) -> None:
    """As `amg.py --convert-to-rle` of segment-anything writes them: no image id, no score."""
    path.mkdir()
    for image_id in (1, 2):
        records = [
            {
                "segmentation": record["segmentation"],
                "area": 8,
                "bbox": [0, 0, 1, 3],
                "predicted_iou": record["score"],
                "point_coords": [[1.0, 1.0]],
                "stability_score": 0.9,
                "crop_box": [0, 0, 6, 4],
            }
            for record in RECORDS
            if record["image_id"] == image_id
        ]
        (path / f"p{image_id}.json").write_text(json.dumps(records))


def sam_null(path: Path) -> None:
    """As other programs fill SAM's masks into COCO's form: the score is there, but null."""
    sam(path)
    for file in path.iterdir():
        write(file, [{**record, "score": None} for record in json.loads(file.read_text())])


def sa_1b(path: Path) -> None:
    """As Meta publishes SAM's masks: an object per image."""
    sam(path)
    for file in path.iterdir():
        write(file, {"image": {"image_id": 5}, "annotations": json.loads(file.read_text())})


def lists(path: Path) -> None:
    """The reference's: extracted at half the size."""
    half = {"size": [2, 3], "counts": [2, 2, 2]}
    with_shape = [
        [{**r, "orig_shape": [4, 6]} for r in RECORDS if r["image_id"] == i] for i in (1, 2)
    ]
    with_shape[0][0]["segmentation"] = half
    path.write_text(json.dumps([*with_shape, []]))


SOURCES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "COCO results": ("list.json", lambda p: write(p, RECORDS)),
    "COCO dataset": (
        "coco.json",
        lambda p: write(p, {"images": [], "annotations": RECORDS}),
    ),
    "a list of lists": ("lists.json", lists),
    "a file per image id": ("ids", lambda p: per_image(p, "")),
    "a file per image name": ("names", lambda p: per_image(p, "p")),
    "SAM": ("sam", sam),
    "SAM with null": ("sam", sam_null),
    "SA-1B": ("sam", sa_1b),
    "ids as strings": (
        "list.json",
        lambda p: write(p, [{**r, "image_id": str(r["image_id"])} for r in RECORDS]),
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_usual_file_is_read(kind: str, tmp_path: Path) -> None:
    name, make = SOURCES[kind]
    make(tmp_path / name)
    one, two, three = from_source(tmp_path / name, NAMED)([1, 2, 3])
    assert one.instances.scores.tolist() == [0.75, 0.25], "best first"
    assert one.instances.boxes_xyxy[0].tolist() == [2, 0, 4, 4]
    assert one.instances.image_size_hw == (4, 6)
    assert two.instances.boxes_xyxy.tolist() == [[4, 0, 6, 4]]
    assert len(three.instances) == 0
    best = dict(zip(MASK_FEATURE_NAMES, one.features[0].tolist(), strict=True))
    assert best["score"] == 0.75
    assert best["area"] == pytest.approx(8 / 24)
    assert (best["fill"], best["frame_sides"]) == (1, 2)


def test_masks_extracted_at_another_size_are_brought_back(tmp_path: Path) -> None:
    lists(tmp_path / "lists.json")
    (one,) = from_source(tmp_path / "lists.json", NAMED)([1])
    assert one.instances.boxes_xyxy[1].tolist() == [2, 0, 4, 4]


def test_a_store_of_predictions_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(RECORDS[:3]))
    find = from_source(tmp_path / "list.json", NAMED)
    (tmp_path / "scratch").mkdir()
    work = Work.of(tmp_path / "scratch", [1, 2, 3], MASK_FEATURE_NAMES)
    work.run(range(len(work.plan)), find, lambda _: None)
    work.assemble(tmp_path / "store")
    again = list(from_source(tmp_path / "store", NAMED)([1, 2, 3]))
    for item, before in zip(again, find([1, 2, 3]), strict=True):
        assert item.instances.masks == before.instances.masks
        np.testing.assert_array_equal(item.features, before.features)
    there, missing = from_source(tmp_path / "store", [*NAMED, {**NAMED[0], "id": 9}])([1, 9])
    assert (len(there.instances), len(missing.instances)) == (2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, r"\[0\]: must have one of score, predicted_iou"),
        ({"score": True}, "score must be a finite number, got True"),
        ({"image_id": "p1"}, r"\[0\]: image_id must be an integer, got 'p1'"),
        ({"segmentation": square(0, (8, 6))}, r"segmentation.size must be \[4, 6\], got \[8, 6\]"),
        ({"segmentation": {"size": [4, 6], "counts": "!"}}, r"list.json: \[0\]: "),
        ({"segmentation": None}, r"list.json: \[0\]: "),
        ({"segmentation": {"size": 4, "counts": []}}, r"segmentation.size must be \[4, 6\], got 4"),
    ],
)
def test_a_faulty_record_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{**RECORDS[0], **change}, *RECORDS[1:]]))
    with pytest.raises(CocoError, match=message):
        list(from_source(path, NAMED)([1]))


def test_what_is_no_source_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match=r"x\.json"):
        from_source(path, NAMED)
    for content, message in (
        ("3", "must be a list of COCO results"),
        ("[[3]]", r"\[0\]\[0\]: image_id must be an integer, got 3"),
        ('[{"image_id": 1, "segmentation": []}]', "must have one of score, predicted_iou"),
        ("[]", "has none of the 3 images"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            list(from_source(path, NAMED)([1]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither shards of a store nor JSON files"):
        from_source(tmp_path / "empty", NAMED)
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids" / "1.json").write_text(json.dumps([RECORDS[2]]))
    with pytest.raises(CocoError, match="image_id is 2, but the file is that of image 1"):
        list(from_source(tmp_path / "ids", NAMED)([1]))


@pytest.mark.parametrize("record", [3, {"score": 0.5}])
def test_a_record_without_a_mask_is_named_with_its_file(record: Any, tmp_path: Path) -> None:
    (tmp_path / "ids").mkdir()
    write(tmp_path / "ids" / "1.json", [record])
    with pytest.raises(CocoError, match=r"1\.json: \[0\]: must be an object with a segmentation"):
        list(from_source(tmp_path / "ids", NAMED)([1]))


@pytest.mark.parametrize("size", [[2, 3, 1], [2, 1.5], 4])
def test_a_size_that_is_no_pair_of_integers_is_named(size: Any, tmp_path: Path) -> None:
    mask = {"size": size, "counts": [2, 2, 2]}
    write(tmp_path / "l.json", [{**RECORDS[0], "segmentation": mask, "orig_shape": [4, 6]}])
    with pytest.raises(CocoError, match=r"segmentation.size must be \[height, width\], got"):
        list(from_source(tmp_path / "l.json", NAMED)([1]))


def test_annotations_of_a_dataset_have_the_score_1(tmp_path: Path) -> None:
    annotation = {key: RECORDS[0][key] for key in ("segmentation", "image_id")}
    write(tmp_path / "coco.json", {"annotations": [annotation, RECORDS[1]]})
    (one,) = from_source(tmp_path / "coco.json", NAMED)([1])
    assert one.instances.scores.tolist() == [1, 0.75]
    write(tmp_path / "coco.json", {"annotations": [3]})
    with pytest.raises(CocoError, match=r"coco.json: \[0\]: image_id must be an integer, got 3"):
        from_source(tmp_path / "coco.json", NAMED)


def test_masks_with_equal_scores_keep_their_order(tmp_path: Path) -> None:
    """Sixty with two scores in turn: numpy's default sort would mix them up."""
    records = [
        {"segmentation": {"size": [8, 8], "counts": [i, 1, 63 - i]}, "score": i % 2, "image_id": 1}
        for i in range(60)
    ]
    write(tmp_path / "list.json", records)
    (one,) = from_source(tmp_path / "list.json", [{"id": 1, "height": 8, "width": 8}])([1])
    places = [8 * int(x) + int(y) for x, y, *_ in one.instances.boxes_xyxy]
    assert places == [*range(1, 60, 2), *range(0, 60, 2)]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 1, 3, 2), [6 / 24, 3 / 6, 2 / 4, 1, 0]),  # touches no side of the 4 x 6 image
        ((0, 1, 1, 1), [1 / 24, 1 / 6, 1 / 4, 1, 1]),  # a pixel at the left side
        ((2, 0, 2, 1), [2 / 24, 2 / 6, 1 / 4, 1, 1]),  # the top
        ((3, 1, 3, 1), [3 / 24, 3 / 6, 1 / 4, 1, 1]),  # the right
        ((1, 2, 1, 2), [2 / 24, 1 / 6, 2 / 4, 1, 1]),  # the bottom
        ((0, 0, 6, 4), [1, 1, 1, 1, 4]),
    ],
)
def test_features_of_a_rectangle(
    box: tuple[int, int, int, int], expected: list[float], tmp_path: Path
) -> None:
    x, y, width, height = box
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    write(tmp_path / "list.json", [{"segmentation": [corners], "score": 0.5, "image_id": 1}])
    (one,) = from_source(tmp_path / "list.json", NAMED)([1])
    assert one.features.dtype == np.float32
    assert one.features[0].tolist() == pytest.approx([0.5, *expected])
