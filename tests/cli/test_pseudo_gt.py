"""`ggn pseudo-gt import` and `export`: the reference's files in and out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from ggn.core import Instances
from ggn.core.masks import decode, encode
from ggn.data.mask_store import MaskStore
from ggn.pseudo_gt.publish import write_as_json, write_as_store


def record(image_id: int, score: float, reduced: bool = False) -> dict[str, Any]:
    """A mask of the left column of an image 2 high and 4 wide, or of it at half the size."""
    size = (1, 2) if reduced else (2, 4)
    bitmap = [[1] * (size[1] // 2) + [0] * (size[1] // 2)] * size[0]
    (mask,) = encode([bitmap])
    return {
        "segmentation": mask,
        "image_id": image_id,
        "score": score,
        "gt_iou": 0.25,
        "orig_shape": [2, 4],
    }


LISTS = [[record(9, 0.5), record(9, 0.25)], [], [record(4, 0.75, reduced=True)]]


def write_lists(folder: Path) -> Path:
    (folder / "lists.json").write_text(json.dumps(LISTS))
    return folder / "lists.json"


def write_files(folder: Path) -> Path:
    (folder / "files").mkdir()
    for entry, name in zip(LISTS, ("9", "5", "4"), strict=True):
        (folder / "files" / f"{name}.json").write_text(json.dumps(entry))
    return folder / "files"


@pytest.mark.parametrize("write", [write_lists, write_files])
def test_both_forms_come_in_and_go_out(
    tmp_path: Path, ggn: Callable[..., int], write: Callable[[Path], Path]
) -> None:
    assert ggn("pseudo-gt", "import", write(tmp_path), "-o", tmp_path / "store") == 0
    store = MaskStore(tmp_path / "store")
    assert store.image_ids.tolist() == [4, 9]
    small = store.read(4)
    assert small is not None
    assert small.bitmaps().tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0]]]  # back at its size
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out.json") == 0
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out") == 0
    lists = json.loads((tmp_path / "out.json").read_text())
    assert [json.loads((tmp_path / "out" / f"{i}.json").read_text()) for i in (4, 9)] == lists
    assert [[r["score"] for r in entry] for entry in lists] == [[0.75], [0.5, 0.25]]
    first = lists[1][0]
    assert first == record(9, 0.5) | {
        "area": 4.0,
        "bbox": [0.0, 0.0, 2.0, 2.0],
        "category_id": 1,
        "rank": 0,
    }


def test_what_is_not_that_format_is_refused(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = write_files(tmp_path)
    (wrong / "9.json").rename(wrong / "8.json")
    for source, message in (
        (wrong, "8.json: holds image 9, not that of its name"),
        (tmp_path / "nothing", "no such file or folder"),
    ):
        assert ggn("pseudo-gt", "import", source, "-o", tmp_path / "store") == 1
        assert message in capsys.readouterr().err
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out") == 1
    assert "index.parquet: missing" in capsys.readouterr().err


def test_coco_results_come_in_best_first(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        {key: entry[key] for key in ("segmentation", "image_id", "score")}
        for entry in (record(9, 0.25), record(4, 0.75), record(9, 0.5))
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert ggn("pseudo-gt", "import", tmp_path / "results.json", "-o", tmp_path / "store") == 0
    store = MaskStore(tmp_path / "store")
    assert store.image_ids.tolist() == [4, 9]
    nine = store.read(9)
    assert nine is not None
    assert nine.scores.tolist() == [0.5, 0.25]
    assert nine.bitmaps().tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0]]] * 2
    del results[1]["score"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert ggn("pseudo-gt", "import", tmp_path / "results.json", "-o", tmp_path / "store") == 1
    assert "[1]: must have image_id (an integer), segmentation" in capsys.readouterr().err


BITMAPS = {"ring": np.zeros((6, 8), np.uint8), "two parts": np.zeros((6, 8), np.uint8)}
BITMAPS["ring"][1:5, 1:6] = 1
BITMAPS["ring"][2:4, 3:4] = 0
BITMAPS["two parts"][0:2, 0:2] = BITMAPS["two parts"][4:6, 5:8] = 1
DATASET: dict[str, Any] = {
    "images": [
        {"id": 3, "file_name": "three.png", "height": 6, "width": 8, "license": 1},
        {"id": 4, "file_name": "four.png", "height": 6, "width": 8},
    ],
    "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
    "annotations": [
        {"id": 0, "image_id": 3, "category_id": 7, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]],
         "area": 12, "bbox": [0, 0, 4, 3], "iscrowd": 0},
        {"id": 5, "image_id": 4, "category_id": 7, "segmentation": encode([BITMAPS["ring"]])[0],
         "area": 18, "bbox": [1, 1, 5, 4], "iscrowd": 1},
    ],
}  # fmt: skip


def training_file(folder: Path, per_image: bool) -> Path:
    """As the stage `select_pseudo_gt` leaves it: two pseudo masks on image 3."""
    scores = np.array([0.9, 0.8], np.float32)
    masks = Instances(encode(list(BITMAPS.values())), scores, (6, 8))
    selected = [(3, masks, np.zeros(2)), (4, Instances.empty((6, 8)), np.zeros(0))]
    write = write_as_store if per_image else write_as_json
    write(DATASET, selected, folder / "pseudo_gt", folder / "ggn.json")
    return folder / "ggn.json"


def bitmap(coco: Any, annotation: dict[str, Any]) -> Any:
    """What pycocotools makes of an annotation."""
    mask = coco.annToRLE(annotation)
    counts = mask["counts"]
    return decode([{**mask, "counts": counts if isinstance(counts, str) else counts.decode()}],
                  (6, 8))[0]  # fmt: skip


@pytest.mark.parametrize("per_image", [False, True])
def test_a_plain_coco_file_has_the_same_masks_for_pycocotools(
    tmp_path: Path, ggn: Callable[..., int], per_image: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = training_file(tmp_path, per_image), tmp_path / "out.json"
    assert ggn("pseudo-gt", "export", source, "-o", out, "--format", "coco") == 0
    assert "4 annotations, 2 of them pseudo masks" in capsys.readouterr().out.replace("\n", " ")
    coco = COCO(str(out))
    assert [c["name"] for c in coco.dataset["categories"]] == ["cat", "pseudo"]
    assert [image["id"] for image in coco.dataset["images"]] == [3, 4]
    annotations = coco.dataset["annotations"]
    assert [a["id"] for a in annotations] == [1, 2, 3, 4]
    standard = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"}
    assert all(set(a) == standard for a in annotations)
    annotated, ring, parts, crowd = annotations
    assert annotated["segmentation"] == [[0, 0, 4, 0, 4, 3, 0, 3]]
    np.testing.assert_array_equal(bitmap(coco, ring), BITMAPS["ring"])
    np.testing.assert_array_equal(bitmap(coco, parts), BITMAPS["two parts"])
    assert (len(ring["segmentation"]), len(parts["segmentation"])) == (1, 2)
    assert (ring["area"], ring["bbox"]) == (18, [1, 1, 5, 4])
    assert (crowd["iscrowd"], crowd["image_id"]) == (1, 4)
    np.testing.assert_array_equal(bitmap(coco, crowd), BITMAPS["ring"])


def test_a_class_agnostic_file_has_one_category(tmp_path: Path, ggn: Callable[..., int]) -> None:
    source, out = training_file(tmp_path, per_image=False), tmp_path / "out.json"
    words = ("--format", "coco", "--class-agnostic")
    assert ggn("pseudo-gt", "export", source, "-o", out, *words) == 0
    content = json.loads(out.read_text())
    assert content["categories"] == [{"id": 1, "name": "object"}]
    assert {a["category_id"] for a in content["annotations"]} == {1}


def test_an_unknown_format_is_named(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    source = training_file(tmp_path, per_image=False)
    assert ggn("pseudo-gt", "export", source, "-o", tmp_path / "x.json", "--format", "voc") == 1
    assert "--format must be one of reference, coco, got 'voc'" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
