"""Pseudo ground truth as files: the interchange list, and the merged training file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core import Instances
from ggn.core.coco import CocoError, annotations_by_image, find_faults, write_json
from ggn.core.masks import decode
from ggn.data.splits import split_annotations
from ggn.pseudo_gt.merge import from_interchange, merge, pseudo_category, records

Rectangles = Callable[..., Instances]
Json = dict[str, Any]


@pytest.fixture
def dataset(rectangles: Rectangles) -> Json:
    """Three images of 8 x 10, the first with two annotations; category ids 1 and 9."""
    masks = rectangles([(0, 0, 2, 2), (5, 5, 3, 3)]).masks
    annotations = [
        {
            "id": annotation_id,
            "image_id": 30,
            "category_id": 9,
            "segmentation": mask,
            "area": area,
            "bbox": box,
            "iscrowd": 0,
        }
        for annotation_id, mask, area, box in (
            (17, masks[0], 4, [0, 0, 2, 2]),
            (4, masks[1], 9, [5, 5, 3, 3]),
        )
    ]
    images = [{"id": i, "file_name": f"{i}.png", "height": 8, "width": 10} for i in (30, 10, 20)]
    categories = [{"id": 9, "name": "cat"}, {"id": 1, "name": "person"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def pseudo(rectangles: Rectangles) -> list[list[Json]]:
    """Two pseudo masks for image 30, one for 10, none for 20."""
    return [
        records(30, rectangles([(0, 6, 2, 3), (4, 0, 4, 2)]), np.array([0.0, 0.25]), 10),
        records(10, rectangles([(1, 1, 3, 3)], [0.4]), np.zeros(1), 10),
        records(20, Instances.empty((8, 10)), np.zeros(0), 10),
    ]


def test_records_hold_what_the_interchange_format_asks_for(pseudo: list[list[Json]]) -> None:
    first, second = pseudo[0]
    assert second == {
        "segmentation": second["segmentation"],
        "area": 8.0,
        "bbox": [0.0, 4.0, 2.0, 4.0],
        "image_id": 30,
        "category_id": 10,
        "rank": 1,
        "gt_iou": 0.25,
        "score": pytest.approx(0.9),
        "orig_shape": [8, 10],
    }
    assert decode([second["segmentation"]], (8, 10))[0, 4:, :2].all()
    assert first["rank"] == 0
    assert pseudo[2] == []


def test_annotations_keep_their_ids_and_pseudo_masks_get_fresh_ones(
    dataset: Json, pseudo: list[list[Json]]
) -> None:
    merged = merge(dataset, pseudo, pseudo_category(dataset))
    found = [(a["id"], a["image_id"], a["source"], a.get("rank")) for a in merged["annotations"]]
    assert [a["iscrowd"] for a in merged["annotations"]] == [0] * 5
    assert found == [
        (17, 30, "annotation", None),
        (4, 30, "annotation", None),
        (18, 30, "pseudo", 0),
        (19, 30, "pseudo", 1),
        (20, 10, "pseudo", 0),
    ]
    for before, after in zip(dataset["annotations"], merged["annotations"], strict=False):
        assert after == {**before, "source": "annotation"}
    assert merged["annotations"][3]["gt_iou"] == 0.25
    assert merged["annotations"][4]["score"] == pytest.approx(0.4)
    assert merged["images"] == dataset["images"]  # also the one that has neither


def test_the_merged_file_is_a_valid_dataset_and_its_sources_stay_as_they_were(
    dataset: Json, pseudo: list[list[Json]], tmp_path: Path
) -> None:
    before = json.dumps([dataset, pseudo])
    merged = merge(dataset, pseudo, pseudo_category(dataset))
    assert find_faults(merged, "merged") == []
    write_json(tmp_path / "train.json", merged)
    assert json.loads((tmp_path / "train.json").read_text()) == merged
    assert json.dumps([dataset, pseudo]) == before


def test_a_dataset_without_annotations_or_without_pseudo_masks_merges(
    dataset: Json, pseudo: list[list[Json]]
) -> None:
    category = pseudo_category(dataset)
    bare = {**dataset, "annotations": []}
    assert [a["id"] for a in merge(bare, pseudo, category)["annotations"]] == [1, 2, 3]
    assert merge(bare, [[], [], []], category)["annotations"] == []
    assert len(merge(dataset, [], category)["annotations"]) == 2


def test_no_split_of_the_annotated_categories_drops_pseudo_masks(
    dataset: Json, pseudo: list[list[Json]]
) -> None:
    """Published code gave them category id 1, and splits in which 1 is unseen dropped them all."""
    category = pseudo_category(dataset)
    assert category == {"id": 10, "name": "pseudo"}
    foreign = [[{**record, "category_id": 1} for record in image] for image in pseudo]
    merged = merge(dataset, foreign, category)
    assert {a["category_id"] for a in merged["annotations"] if a["source"] == "pseudo"} == {10}
    seen_file, hidden = split_annotations(merged, (9, category["id"]))
    assert len(annotations_by_image(seen_file)[30]) == 4
    assert hidden["annotations"] == []


def test_pseudo_masks_of_a_foreign_image_or_size_are_refused(
    dataset: Json, pseudo: list[list[Json]], rectangles: Rectangles
) -> None:
    unknown = [records(77, rectangles([(0, 0, 1, 1)]), np.zeros(1), 10)]
    with pytest.raises(ValueError, match=r"of image 77: size \[8, 10\], dataset: no such image"):
        merge(dataset, unknown, pseudo_category(dataset))
    small = [records(30, rectangles([(0, 0, 1, 1)], size_hw=(4, 5)), np.zeros(1), 10)]
    with pytest.raises(ValueError, match=r"of image 30: size \[4, 5\], dataset: \[8, 10\]"):
        merge(dataset, small, pseudo_category(dataset))


def test_what_is_exported_can_be_imported(pseudo: list[list[Json]]) -> None:
    imported = dict(from_interchange(json.loads(json.dumps(pseudo)), "pseudo.json"))
    assert list(imported) == [30, 10]
    assert imported[30].masks == [record["segmentation"] for record in pseudo[0]]
    np.testing.assert_array_equal(imported[30].scores, np.float32([1.0, 0.9]))
    assert imported[30].image_size_hw == (8, 10)


def test_masks_extracted_at_reduced_size_are_scaled_to_orig_shape(rectangles: Rectangles) -> None:
    """Published code wrote `orig_shape`, read `ori_shape` and so never scaled."""
    (record,) = records(5, rectangles([(1, 2, 2, 2)], size_hw=(4, 5)), np.zeros(1), 1)
    ((_, instances),) = from_interchange([[{**record, "orig_shape": [8, 10]}]], "pseudo.json")
    assert instances.masks == rectangles([(2, 4, 4, 4)]).masks
    assert instances.areas.tolist() == [16]


def test_uncompressed_run_lengths_are_read_too() -> None:
    segmentation = {"size": [2, 3], "counts": [2, 3, 1]}
    record = {"segmentation": segmentation, "image_id": 5, "score": 1, "orig_shape": [2, 3]}
    ((_, instances),) = from_interchange([[record]], "pseudo.json")
    assert instances.bitmaps().tolist() == [[[0, 1, 1], [0, 1, 0]]]


NO_MASK = {"size": [8, 10], "counts": "?"}
RLE_OF_TEXT = {"size": ["8", 10], "counts": ""}


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        ({"segmentation": None}, "[0][1]", "segmentation.size must be [height, width], got None"),
        ({"segmentation": [[0, 0, 4, 0, 4, 4]]}, "[0][1]", "segmentation.size must be"),
        ({"segmentation": RLE_OF_TEXT}, "[0][1]", "segmentation.size must be"),
        ({"segmentation": NO_MASK}, "[0][1]", "counts"),
        ({"image_id": "30"}, "[0][1]", "image_id must be an integer, got '30'"),
        ({"image_id": 31}, "[0][1]", "image_id is 31, but 30 in [0]"),
        ({"score": float("nan")}, "[0][1]", "score must be a finite number, got nan"),
        ({"score": True}, "[0][1]", "score must be a finite number, got True"),
        ({"orig_shape": 8}, "[0][1]", "orig_shape must be [height, width], got 8"),
        ({"orig_shape": [0, 10]}, "[0][1]", "orig_shape must be [height, width], got [0, 10]"),
        ({"orig_shape": [10, 8]}, "[0][1]", "orig_shape is [10, 8], but [8, 10] in [0]"),
    ],
)
def test_faulty_objects_are_named(
    pseudo: list[list[Json]], change: Json, where: str, reason: str
) -> None:
    pseudo[0][1] |= change
    with pytest.raises(CocoError) as refusal:
        list(from_interchange(pseudo, "pseudo.json"))
    (fault,) = refusal.value.faults
    assert (fault.file, fault.where) == ("pseudo.json", where)
    assert reason in fault.reason


def test_missing_keys_are_named(pseudo: list[list[Json]]) -> None:
    del pseudo[0][0]["score"]
    pseudo[0][0]["ori_shape"] = pseudo[0][0].pop("orig_shape")
    with pytest.raises(CocoError, match=r"pseudo.json: \[0\]\[0\]: lacks score, orig_shape$"):
        list(from_interchange(pseudo, "pseudo.json"))


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"images": []}, "must be a list with one list of objects per image"),
        ([{"image_id": 1}], "must be a list with one list of objects per image"),
        ([[3]], r"\[0\]\[0\]: must be an object, got 3"),
    ],
)
def test_another_kind_of_file_is_refused(lists: Any, message: str) -> None:
    with pytest.raises(CocoError, match=message):
        list(from_interchange(lists, "pseudo.json"))


def test_an_image_with_two_lists_is_refused(pseudo: list[list[Json]]) -> None:
    with pytest.raises(CocoError, match=r"\[3\]: image 30 already has a list, \[0\]"):
        list(from_interchange([*pseudo, pseudo[0]], "pseudo.json"))


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ([], "pseudo"),
        (["pseudo"], "pseudo 2"),
        (["pseudo", "pseudo 2"], "pseudo 3"),
        (["pseudo 2"], "pseudo"),
    ],
)
def test_a_name_that_is_taken_gets_a_number(taken: list[str], name: str) -> None:
    categories = [{"id": place, "name": taken_name} for place, taken_name in enumerate(taken)]
    assert pseudo_category({"categories": categories})["name"] == name
