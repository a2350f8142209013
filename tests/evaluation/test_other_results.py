"""Results of other programs are read where their meaning is certain, and said where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ggn.core.coco import CocoError
from ggn.core.masks import from_segmentation
from ggn.evaluation.evaluator import evaluate_inputs
from ggn.evaluation.inputs import EvaluationInputs, read_inputs
from ggn.evaluation.other_results import NAMED, RATED, UNCLASSED

SQUARES = [[5, 5, 25, 5, 25, 25, 5, 25], [30, 10, 50, 10, 50, 30, 30, 30]]
TRUTH: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "train/7.png", "width": 80, "height": 60},
        {"id": 2, "file_name": "train/000000000139.jpg", "width": 80, "height": 60},
    ],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {
            "id": i, "image_id": i, "category_id": 1, "segmentation": [square],
            "bbox": [*square[:2], 20, 20], "area": 400,
        }
        for i, square in enumerate(SQUARES, 1)
    ],
}  # fmt: skip


def found(*image_ids: Any, **more: Any) -> list[dict[str, Any]]:
    """Both objects, each found exactly."""
    return [
        {
            "image_id": image_id, "category_id": 1, "score": 0.9, "bbox": [*square[:2], 20, 20],
            "segmentation": dict(from_segmentation([square], (60, 80))),
        }
        | more
        for image_id, square in zip(image_ids, SQUARES, strict=True)
    ]  # fmt: skip


def read(folder: Path, results: Any, **options: Any) -> EvaluationInputs:
    """Read results from a file, as the commands do."""
    (folder / "found.json").write_text(json.dumps(results))
    return read_inputs(TRUTH, folder / "found.json", ["segm"], **options)


def recall(inputs: EvaluationInputs) -> float:
    """The share of the objects that are found."""
    results = evaluate_inputs(inputs, {"all": [1]}, protocol="budget", iou_type="segm")
    return results["all"].metrics["AR_100"]


NUMBERED = ("7.png", "000000000139.jpg")
READ = {
    "stems, as ultralytics": (found("7", "000000000139"), NAMED),
    "file names": (found("7.png", "000000000139.jpg"), NAMED),
    "paths": (found("train/7.png", "train\\000000000139.jpg"), NAMED),
    "numbers made from stems, beside file names": (
        [a | {"file_name": n} for a, n in zip(found(7, 139), NUMBERED, strict=True)],
        NAMED,
    ),
    "no category": (found(1, 2, category_id=None), UNCLASSED),
    "scores as SAM has them": (found(1, 2, score=None, predicted_iou=0.97), RATED),
}


@pytest.mark.parametrize("how", READ)
def test_what_is_certain_is_read_and_counted_and_refused_by_strict(
    tmp_path: Path, how: str
) -> None:
    results, kind = READ[how]
    inputs = read(tmp_path, results)
    assert inputs.predictions.mends.counts[kind] == 2
    assert inputs.predictions.warnings == []
    assert recall(inputs) == 1
    with pytest.raises(CocoError, match=r"is mended in reading|must be"):
        read(tmp_path, results, strict=True)


def test_without_a_score_of_any_name_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CocoError, match=r"predictions\[0\].*score must be a finite number, got None"
    ):
        read(tmp_path, found(1, 2, score=None))


def test_a_name_that_is_also_a_number_of_another_image_is_refused(tmp_path: Path) -> None:
    truth = {**TRUTH, "images": [{**TRUTH["images"][0], "file_name": "2.png"}, TRUTH["images"][1]]}
    with pytest.raises(CocoError, match="image_id must be the id of an annotated image, got '2'"):
        read_inputs(truth, found("2", 2), ["segm"])


def test_a_name_that_two_images_have_is_refused(tmp_path: Path) -> None:
    images = [{**image, "file_name": f"{image['id']}/a.png"} for image in TRUTH["images"]]
    with pytest.raises(CocoError, match="image_id must be the id of an annotated image, got 'a'"):
        read_inputs({**TRUTH, "images": images}, found("a", "a"), ["segm"])
    assert (
        recall(read_inputs({**TRUTH, "images": images}, found("1/a.png", "2/a.png"), ["segm"])) == 1
    )


def test_ids_that_were_made_from_file_names_are_said(tmp_path: Path) -> None:
    """ultralytics takes a number in a file's name for the id, which then is another image's."""
    images = [{**image, "file_name": f"{3 - image['id']}.png"} for image in TRUTH["images"]]
    names = ["2.png", "1.png"]
    results = [a | {"file_name": n} for a, n in zip(found(2, 1), names, strict=True)]
    for given in (results, str(tmp_path / "found.json")):
        (tmp_path / "found.json").write_text(json.dumps(results))
        inputs = read_inputs({**TRUTH, "images": images}, given, ["segm"])
        (warning,) = inputs.predictions.warnings
        assert warning.startswith(
            "2 of 2 records name another file than that of their image_id, first predictions[0]: "
            "file_name is '2.png', but image 2 is '1.png'"
        )
    with pytest.raises(CocoError, match="name another file"):
        read_inputs({**TRUTH, "images": images}, results, ["segm"], strict=True)
    right = [a | {"file_name": n} for a, n in zip(found(1, 2), names, strict=True)]
    assert read_inputs({**TRUTH, "images": images}, right, ["segm"]).predictions.warnings == []
