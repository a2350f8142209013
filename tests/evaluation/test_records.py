"""Refusals: each faulty file or record, with the message a person gets."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core.coco import CocoError
from ggn.core.faults import Mends
from ggn.evaluation import evaluate
from ggn.evaluation.records import PredictionCheck, read_annotations

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def small(scene: Any) -> Any:
    return scene.objects("unseen", (0, 0, 40, 30)).found((0, 0, 40, 30), (5, 5, 40, 30))


def setting(key: str, value: Any) -> Change:
    return lambda record: record.update({key: value})


def without(key: str) -> Change:
    return lambda record: record.pop(key)


PREDICTION_FAULTS = {
    "no image id": (without("image_id"), "image_id must be the id of an annotated image, got None"),
    "unknown image": (
        setting("image_id", 99),
        "image_id must be the id of an annotated image, got 99",
    ),
    "image id as text": (setting("image_id", "ten"), "annotated image, got 'ten'"),
    "image id as truth value": (setting("image_id", True), "annotated image, got True"),
    "no score": (without("score"), "score must be a finite number, got None"),
    "score NaN": (setting("score", math.nan), "score must be a finite number, got nan"),
    "score infinite": (setting("score", math.inf), "score must be a finite number, got inf"),
    "score as text": (setting("score", "high"), "score must be a finite number, got 'high'"),
    "score as truth value": (setting("score", True), "score must be a finite number, got True"),
    "category as text": (
        setting("category_id", "cat"),
        "category_id must be an integer from -\\d+ to \\d+, got 'cat'",
    ),
    "short box": (setting("bbox", [1, 2, 3]), "bbox must be 4 finite numbers"),
    "box with NaN": (setting("bbox", [1, 2, math.nan, 4]), "bbox must be 4 finite numbers"),
    "box of texts": (setting("bbox", ["1", "2", "3", ""]), "bbox must be 4 finite numbers"),
    "box as text": (setting("bbox", "1234"), "bbox must be 4 finite numbers"),
    "box as number": (setting("bbox", 7), "bbox must be 4 finite numbers"),
    "box inside out": (setting("bbox", [9, 9, -3, 4]), "bbox must have width and height >= 0"),
    "no mask": (without("segmentation"), "must have a segmentation, because iou_types are"),
    "mask is text": (setting("segmentation", "abc"), "segmentation: "),
    "mask is null": (setting("segmentation", None), "must have a segmentation"),
    "mask of another size": (
        setting("segmentation", {"size": [100, 200], "counts": [0, 20000]}),
        r"segmentation: .*\[100, 200\].*200",
    ),
    "mask whose size is no integer": (
        setting("segmentation", {"size": [200.5, 200], "counts": "PPQ3"}),
        "segmentation: .*size",
    ),
    "mask without counts": (
        setting("segmentation", {"size": [200, 200]}),
        "segmentation: .*'counts'",
    ),
    "mask that is too short": (
        setting("segmentation", {"size": [200, 200], "counts": [0, 399]}),
        "segmentation: .*399.*40000",
    ),
    "mask with characters that are none of RLE": (
        setting("segmentation", {"size": [200, 200], "counts": "\u00e9~"}),
        "segmentation: .*counts",
    ),
    "mask that is cut off": (
        setting("segmentation", {"size": [200, 200], "counts": "0h1a"}),
        "segmentation: .*counts",
    ),
    "polygon of an odd number": (
        setting("segmentation", [[0, 0, 5, 5, 9]]),
        "segmentation: polygon 0 .*in pairs",
    ),
    "category of 65 bits": (
        setting("category_id", 2**64 + 1),
        "must be an integer from -9223372036854775807 to 9223372036854775807, got 184467440737095",
    ),
}


@pytest.mark.parametrize(("change", "message"), PREDICTION_FAULTS.values(), ids=PREDICTION_FAULTS)
def test_faulty_prediction_is_refused(small: Any, change: Change, message: str) -> None:
    change(small.predictions[1])
    with pytest.raises(CocoError, match=message) as refusal:
        evaluate(small.annotations, small.predictions)
    assert "predictions: predictions[1]" in str(refusal.value)


def test_prediction_without_box_and_mask_is_refused(small: Any) -> None:
    small.predictions[0] = {"image_id": 10, "score": 0.5}
    with pytest.raises(CocoError, match=r"predictions\[0\] \(image_id 10\): must have a bbox"):
        evaluate(small.annotations, small.predictions, iou_type="bbox")


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({"annotations": []}, "predictions: predictions: must be a list, got {'annotations'"),
        (None, "must be a list, got None"),
        ([[1, 2]], r"predictions\[0\]: must be an object, got \[1, 2\]"),
    ],
)
def test_predictions_that_are_no_list_of_objects(
    small: Any, predictions: Any, message: str
) -> None:
    with pytest.raises(CocoError, match=message):
        evaluate(small.annotations, predictions)


def test_all_faults_are_listed(small: Any) -> None:
    small.predictions[0] |= {"score": math.nan, "image_id": 5}
    small.predictions[1] |= {"bbox": [1]}
    with pytest.raises(CocoError) as refusal:
        evaluate(small.annotations, small.predictions)
    assert [fault.where for fault in refusal.value.faults] == [
        *["predictions[0] (image_id 5)"] * 2,
        "predictions[1] (image_id 10)",
    ]


def changing(section: str, change: Change) -> Change:
    return lambda dataset: change(dataset[section][0])


ANNOTATION_FAULTS = {
    "no images": (without("images"), "annotations: images: must be a list, got None"),
    "categories by name": (setting("categories", {"a": 1}), "categories: must be a list"),
    "annotations null": (setting("annotations", None), "annotations: must be a list, got None"),
    "image without id": (changing("images", without("id")), r"images\[0\]: id must be an integer"),
    "image twice": (
        lambda d: d["images"].append(d["images"][0]),
        r"images\[1\].*10 is already used",
    ),
    "category twice": (
        lambda d: d["categories"].append(d["categories"][0]),
        r"categories\[3\].*id 3 is already used",
    ),
    "category without name": (
        changing("categories", without("name")),
        "name must be a string, got None",
    ),
    "image without size": (
        changing("images", without("height")),
        "image 10 must have a height and width >= 1, because masks need them",
    ),
    "dangling image id": (
        changing("annotations", setting("image_id", 4)),
        "annotated image, got 4",
    ),
    "dangling category id": (
        changing("annotations", setting("category_id", 4)),
        r"annotations\[0\] \(id 1, image_id 10\): category_id must be the id of a category, got 4",
    ),
    "category id as list": (
        changing("annotations", setting("category_id", [7])),
        r"must be the id of a category, got \[7\]",
    ),
    "half a crowd": (changing("annotations", setting("iscrowd", 0.5)), "iscrowd must be 0 or 1"),
    "area NaN": (
        changing("annotations", setting("area", math.nan)),
        "area must be a finite number",
    ),
    "area negative": (changing("annotations", setting("area", -1)), "area must be a finite number"),
    "no mask": (changing("annotations", without("segmentation")), "must have a segmentation"),
    "empty polygon list": (changing("annotations", setting("segmentation", [])), "segmentation: "),
    "bad box": (changing("annotations", setting("bbox", [0, 0, 1, math.inf])), "bbox must be 4"),
}


@pytest.mark.parametrize(("change", "message"), ANNOTATION_FAULTS.values(), ids=ANNOTATION_FAULTS)
def test_faulty_annotations_are_refused(small: Any, change: Change, message: str) -> None:
    change(small.annotations)
    with pytest.raises(CocoError, match=message):
        evaluate(small.annotations, small.predictions)


def test_annotations_that_are_no_object(small: Any) -> None:
    with pytest.raises(CocoError, match=r"annotations: top level: must be an object, got \[\]"):
        evaluate([], small.predictions)  # type: ignore[arg-type]


def test_file_is_named(small: Any, tmp_path: Path) -> None:
    annotations, predictions = tmp_path / "val.json", tmp_path / "predictions.json"
    annotations.write_text(json.dumps(small.annotations))
    predictions.write_text(json.dumps(small.predictions))
    assert evaluate(str(annotations), predictions) == evaluate(small.annotations, small.predictions)
    predictions.write_text('[{"image_id": 10, "score": NaN}]')
    with pytest.raises(CocoError, match=r"predictions\.json.*NaN"):
        evaluate(annotations, predictions)
    predictions.write_text('[{"image_id": 10, "score": "good"}]')
    with pytest.raises(CocoError, match=r"predictions\.json: predictions\[0\]"):
        evaluate(annotations, predictions)
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        evaluate(tmp_path / "absent.json", predictions)


def test_only_what_is_compared_is_needed(small: Any) -> None:
    expected = evaluate(small.annotations, small.predictions, iou_type="bbox")
    for record in [*small.annotations["annotations"], *small.predictions]:
        del record["segmentation"]
    small.annotations["images"] = [{"id": 10}]
    assert evaluate(small.annotations, small.predictions, iou_type="bbox") == expected


def test_box_is_taken_from_the_mask_where_there_is_none(small: Any) -> None:
    expected = evaluate(small.annotations, small.predictions, iou_type="bbox")
    for record in [*small.annotations["annotations"], *small.predictions]:
        del record["bbox"]
    assert evaluate(small.annotations, small.predictions, iou_type="bbox") == expected


def test_missing_area_is_that_of_what_is_compared(small: Any) -> None:
    for record in small.annotations["annotations"]:
        del record["area"]
        record["bbox"] = [0, 0, 50, 30]
    by_mask = read_annotations(small.annotations, ["segm"])
    by_box = read_annotations(small.annotations, ["bbox"])
    assert [by_mask.objects[0]["area"], by_box.objects[0]["area"]] == [1200, 1500]


def test_any_form_of_mask_will_do(small: Any) -> None:
    expected = evaluate(small.annotations, small.predictions)
    small.predictions[0]["segmentation"] = [[0, 0, 40, 0, 40, 30, 0, 30]]
    columns = [30, 170] * 39
    small.annotations["annotations"][0]["segmentation"] = {
        "size": [200, 200],
        "counts": [0, *columns, 30, 170 + 160 * 200],
    }
    assert evaluate(small.annotations, small.predictions) == expected


def test_numbers_of_numpy_are_numbers(small: Any) -> None:
    expected = evaluate(small.annotations, small.predictions)
    for record in small.predictions:
        record["score"] = np.float64(record["score"])
        record["image_id"] = np.int64(record["image_id"])
        record["bbox"] = np.array(record["bbox"])
    assert evaluate(small.annotations, small.predictions) == expected


def test_inputs_stay_as_they_are(small: Any) -> None:
    before = copy.deepcopy((small.annotations, small.predictions))
    evaluate(small.annotations, small.predictions)
    assert (small.annotations, small.predictions) == before


def test_predictions_without_masks_are_not_given_any(small: Any) -> None:
    images = read_annotations(small.annotations, ["bbox"]).images
    record = {"image_id": 10, "score": 1, "bbox": [0, 0, 1, 1]}
    assert PredictionCheck("file", images, ["bbox"]).records([record], 0) == (
        [record],
        [],
        Mends(),
    )
