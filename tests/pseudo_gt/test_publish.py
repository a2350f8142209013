"""Pseudo masks as files of other tools: what is written, and what comes back."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core import Instances
from ggn.core.coco import CocoError
from ggn.core.masks import from_segmentation
from ggn.data.mask_store import MaskStore
from ggn.pseudo_gt.plain_coco import export_coco
from ggn.pseudo_gt.publish import import_interchange, write_as_json, write_as_store

Rectangles = Callable[..., Instances]
SQUARE = [0, 0, 2, 0, 2, 2, 0, 2]
COLUMN = {"size": [8, 10], "counts": [0, 8, 72]}
CATEGORIES = [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}]


@pytest.fixture
def dataset() -> dict[str, Any]:
    """Image 30 with a square, given as a polygon, and a crowd; image 10 with nothing."""
    of = {"image_id": 30, "category_id": 2}
    annotations = [
        {**of, "id": 7, "segmentation": [SQUARE], "area": 4, "bbox": [0, 0, 2, 2]},
        {**of, "id": 8, "segmentation": COLUMN, "area": 8, "bbox": [0, 0, 1, 8], "iscrowd": 1},
    ]
    images = [{"id": i, "file_name": f"{i}.png", "height": 8, "width": 10} for i in (30, 10)]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


@pytest.fixture
def selected(rectangles: Rectangles) -> list[Any]:
    """A rectangle of 3 x 2 in image 10, none in image 30; ids ascend."""
    return [
        (10, rectangles([(4, 5, 3, 2)]), np.array([0.25])),
        (30, Instances.empty((8, 10)), np.zeros(0)),
    ]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_json_has_a_list_per_image_and_two_datasets(
    dataset: dict[str, Any], selected: list[Any], tmp_path: Path
) -> None:
    write_as_json(dataset, selected, tmp_path, tmp_path / "training.json")
    none, (mask,) = read(tmp_path / "interchange.json")  # in the order of the images: 30, 10
    assert none == []
    assert (mask["image_id"], mask["category_id"], mask["gt_iou"]) == (10, 3, 0.25)
    (alone,) = read(tmp_path / "pseudo_gt.json")["annotations"]
    assert (alone["source"], alone["bbox"]) == ("pseudo", [5, 4, 2, 3])
    training = read(tmp_path / "training.json")
    assert [record["source"] for record in training["annotations"]] == ["annotation"] * 2 + [
        "pseudo"
    ]
    assert training["categories"][-1] == {"id": 3, "name": "pseudo"}


@pytest.mark.parametrize("write", [write_as_json, write_as_store])
def test_a_plain_coco_file_has_the_keys_of_coco_alone(
    dataset: dict[str, Any], selected: list[Any], write: Any, tmp_path: Path
) -> None:
    """The polygon as it was given, the crowd as run lengths, the pseudo mask as a polygon."""
    write(dataset, selected, tmp_path / "pseudo", tmp_path / "training.json")
    assert export_coco(tmp_path / "training.json", tmp_path / "out.json") == (3, 1)
    content = read(tmp_path / "out.json")
    assert content["info"] == {"description": "annotations and pseudo masks"}
    assert content["licenses"] == []
    assert content["images"] == dataset["images"]
    assert content["categories"] == [*CATEGORIES, {"id": 3, "name": "pseudo"}]
    found = {record["category_id"]: record for record in content["annotations"] if record["bbox"]}
    square, crowd = (r for r in content["annotations"] if r["category_id"] == 2)
    assert square == {
        "id": square["id"],
        "image_id": 30,
        "category_id": 2,
        "segmentation": [SQUARE],
        "iscrowd": 0,
        "area": 4,
        "bbox": [0, 0, 2, 2],
    }
    assert crowd["segmentation"] == dict(from_segmentation(COLUMN, (8, 10)))
    (points,) = found[3]["segmentation"]
    corners = set(zip(points[::2], points[1::2], strict=True))
    assert corners == {(5, 4), (7, 4), (7, 7), (5, 7)}
    assert {type(number) for number in points} == {float}
    assert sorted(record["id"] for record in content["annotations"]) == [1, 2, 3]


def test_a_file_without_classes_has_one(
    dataset: dict[str, Any], selected: list[Any], tmp_path: Path
) -> None:
    write_as_json(dataset, selected, tmp_path, tmp_path / "training.json")
    export_coco(tmp_path / "training.json", tmp_path / "out.json", class_agnostic=True)
    content = read(tmp_path / "out.json")
    assert content["categories"] == [{"id": 1, "name": "object"}]
    assert [record["category_id"] for record in content["annotations"]] == [1, 1, 1]


RESULT = {"image_id": 5, "segmentation": COLUMN, "score": 0.5}


def test_results_are_read_beside_the_store_and_overlap_nothing_unless_they_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unpacked lies on the disk of the store: there may be no room elsewhere."""
    (tmp_path / "l.json").write_text(json.dumps([RESULT, {**RESULT, "score": 1, "gt_iou": 0.25}]))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert import_interchange(tmp_path / "l.json", tmp_path / "a" / "store") == 1
    ((image_id, masks, overlap),) = MaskStore(tmp_path / "a" / "store")
    assert (image_id, masks.scores.tolist(), list(overlap)) == (5, [1, 0.5], [0.25, 0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.json", [RESULT, {"image_id": 5}], r"l\.json: \[1\]: must have image_id"),
        ("l.json", [[RESULT]], r"l\.json: \[0\]\[0\]: lacks orig_shape"),
        ("5.json", [RESULT], r"5\.json: \[0\]\[0\]: lacks orig_shape"),
    ],
)
def test_a_fault_is_named_with_its_file(
    name: str, content: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(json.dumps(content))
    source = tmp_path / "in" if name == "5.json" else tmp_path / "in" / name
    with pytest.raises(CocoError, match=message):
        import_interchange(source, tmp_path / "store")
