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
