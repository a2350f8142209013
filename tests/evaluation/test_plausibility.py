"""Results in other units than pixels are said: nobody takes their recall of 0 for a measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ggn.core.coco import CocoError
from ggn.core.masks import from_segmentation
from ggn.core.spelling import NUMBERS
from ggn.evaluation.inputs import EvaluationInputs, read_inputs
from ggn.evaluation.object_shapes import NO_PIXEL, SHARES
from ggn.evaluation.params import IouType

Box = Sequence[float]
BOXES = [[20, 10, 30, 20], [50, 30, 40, 20], [60, 5, 38, 50], [2, 3, 20, 15]]  # of 100 x 60
TRUTH: dict[str, Any] = {
    "images": [{"id": 7, "width": 100, "height": 60}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"image_id": 7, "category_id": 1, "bbox": box} for box in BOXES],
}


def corners(box: Box) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def shares(box: Box) -> list[float]:
    return [box[0] / 100, box[1] / 60, box[2] / 100, box[3] / 60]


def read(boxes: Sequence[Box], **options: Any) -> EvaluationInputs:
    found = [{"image_id": 7, "score": 0.5, "bbox": box} for box in boxes]
    return read_inputs(TRUTH, found, ["bbox"], **options)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            corners,
            "2 of 4 boxes [x, y, width, height] reach far outside their image, "
            "first predictions[1]; they look like x1, y1, x2, y2",
        ),
        (
            shares,
            "4 of 4 boxes lie in the first pixel of their image; they look like shares of 1, "
            "but must be in pixels",
        ),
        (
            lambda box: [4 * value for value in box],
            "4 of 4 boxes [x, y, width, height] reach far outside their image, "
            "first predictions[0]; do they belong to another size?",
        ),
    ],
)
def test_boxes_in_another_form_are_said_and_refused_by_strict(
    change: Callable[[Box], Box], warning: str
) -> None:
    changed = [change(box) for box in BOXES]
    assert list(read(changed).predictions.warnings) == [warning]
    with pytest.raises(CocoError) as refusal:
        read(changed, strict=True)
    assert str(refusal.value) == f"predictions: predictions: {warning}"


@pytest.mark.parametrize(
    "boxes",
    [
        BOXES,
        [],
        [[-5, -3, 30, 20], [90, 50, 18, 15]],  # within a tenth of the image's sides
        [*([10, 10, i, 20] for i in range(1, 100)), [90, 10, 80, 20]],  # one of 100
        [[0, 0, 1, 1], *BOXES],
    ],
)
def test_the_boxes_of_a_careless_detector_are_no_warning(boxes: list[Box]) -> None:
    assert list(read(boxes, strict=True).predictions.warnings) == []


def test_boxes_are_counted_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggn.evaluation.predictions._BATCH", 1)
    (warning,) = read([*BOXES, *map(corners, BOXES)]).predictions.warnings
    assert warning.startswith("2 of 8 boxes")
    assert "first predictions[5];" in warning


def test_detections_that_are_listed_twice_are_said() -> None:
    """Several processes that evaluate a set together often pad it with images that they repeat."""
    mask = {"size": [60, 100], "counts": [0, 60, 5940]}
    other = {"size": [60, 100], "counts": [60, 60, 5880]}
    found: list[dict[str, Any]] = [
        {"image_id": 7, "score": 0.5, "category_id": 1, "bbox": BOXES[0], "segmentation": mask},
        {"image_id": 7, "score": 0.5, "category_id": 1, "bbox": BOXES[1], "segmentation": mask},
        {"image_id": 7, "score": 0.5, "category_id": 2, "bbox": BOXES[0], "segmentation": mask},
        {"image_id": 7, "score": 0.4, "category_id": 1, "bbox": BOXES[0], "segmentation": mask},
        {"image_id": 7, "score": 0.5, "category_id": 1, "bbox": BOXES[0], "segmentation": other},
        {"image_id": 7, "score": 0.5, "category_id": 1, "segmentation": mask},
        {"image_id": 7, "score": 0.5, "category_id": 1, "segmentation": other},
    ]
    objects = [{"image_id": 7, "category_id": 1, "segmentation": [SQUARE]}]
    truth = {**TRUTH, "annotations": objects}

    def warnings(records: list[dict[str, Any]]) -> list[str]:
        return list(read_inputs(truth, records, ["segm"]).predictions.warnings)

    assert warnings(found) == []
    said = "first predictions[7]; each counts towards the k detections per image"
    assert warnings([*found, found[5]]) == [f"1 detections are listed more than once, {said}"]
    assert warnings([*found, *found]) == [f"7 detections are listed more than once, {said}"]
    assert warnings([*found, *found, found[2]])[0].startswith("8 detections are listed")


def test_boxes_of_images_without_a_size_are_not_judged() -> None:
    truth = {**TRUTH, "images": [{"id": 7}]}
    found = [{"image_id": 7, "score": 0.5, "bbox": [90, 10, 80, 20]}]
    assert list(read_inputs(truth, found, ["bbox"]).predictions.warnings) == []


SQUARE = [20, 10, 50, 10, 50, 30, 20, 30]
OF_SHARES = [0.2, 0.17, 0.5, 0.17, 0.5, 0.5, 0.2, 0.5]


@pytest.mark.parametrize(
    ("polygon", "kinds"),
    [(SQUARE, {}), (OF_SHARES, {SHARES: 1}), ([5, 5, 5, 5, 5, 5], {NO_PIXEL: 1})],
)
def test_predicted_polygons_without_a_pixel_are_counted(
    polygon: list[float], kinds: dict[str, int]
) -> None:
    objects = [{"image_id": 7, "category_id": 1, "segmentation": [SQUARE]}]
    found = [{"image_id": 7, "score": 0.5, "segmentation": [polygon]}]
    inputs = read_inputs({**TRUTH, "annotations": objects}, found, ["segm"])
    assert inputs.predictions.mends.counts == kinds


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([OF_SHARES], "segmentation looks like shares of 1, but must be in pixels"),
        ([[5, 5, 5, 5, 5, 5]], "segmentation covers no pixel"),
        ({"size": [60, 100], "counts": [6000]}, "segmentation covers no pixel"),
    ],
)
def test_objects_that_nothing_can_match_are_said(segmentation: Any, reason: str) -> None:
    objects = [
        {"image_id": 7, "category_id": 1, "segmentation": it} for it in ([SQUARE], segmentation)
    ]
    inputs = read_inputs({**TRUTH, "annotations": objects}, [], ["segm"])
    assert [(f.where, f.reason) for f in inputs.contradictions] == [
        ("annotations[1] (image_id 7)", reason)
    ]


@pytest.mark.parametrize("height", [0, -60, None, 60.5])
def test_masks_need_a_size_that_an_image_can_have(height: Any) -> None:
    truth = {**TRUTH, "images": [{"id": 7, "width": 100, "height": height}]}
    found = [{"image_id": 7, "score": 0.5, "segmentation": [SQUARE]}]
    with pytest.raises(CocoError, match="image 7 must have a height and width >= 1"):
        read_inputs(truth, found, ["segm"])


def test_objects_in_two_categories_are_said() -> None:
    """One detection can't find both, so that the recall of all together is at most a half."""
    objects = [
        {"image_id": 7, "category_id": id_, "segmentation": [SQUARE], "bbox": [20, 10, 30, 20]}
        for id_ in (1, 2)
    ]
    truth = {**TRUTH, "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2)]}
    both: list[IouType] = ["segm", "bbox"]
    for iou_type in both:
        (warning,) = read_inputs({**truth, "annotations": objects}, [], [iou_type]).warnings
        assert warning.startswith("1 objects are listed again in another category")
    crowd = {**objects[0], "iscrowd": 1}
    assert read_inputs({**truth, "annotations": [crowd, objects[1]]}, [], ["segm"]).warnings == []


def test_an_object_in_two_spellings_is_said() -> None:
    """As a polygon and as run lengths, with a box that is off by half a pixel."""
    runs = dict(from_segmentation([SQUARE], (60, 100)))
    objects = [
        {"image_id": 7, "category_id": 1, "segmentation": [SQUARE], "bbox": [20, 10, 30, 20]},
        {"image_id": 7, "category_id": 1, "segmentation": runs, "bbox": [20.5, 9.5, 30, 20]},
        {"image_id": 7, "category_id": 1, "segmentation": [[60, 30, 90, 30, 90, 50]]},
    ]
    truth = {**TRUTH, "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2)]}
    both: list[IouType] = ["segm", "bbox"]
    for iou_type in both:
        (warning,) = read_inputs({**truth, "annotations": objects}, [], [iou_type]).warnings
        assert warning.startswith("1 objects are listed more than once")
        other = [objects[0], {**objects[1], "category_id": 2}]
        (warning,) = read_inputs({**truth, "annotations": other}, [], [iou_type]).warnings
        assert warning.startswith("1 objects are listed again in another category")
    bare = [{k: v for k, v in item.items() if k != "bbox"} for item in objects]
    (warning,) = read_inputs({**truth, "annotations": bare}, [], ["segm"]).warnings
    assert warning.startswith("1 objects are listed more than once")


def test_an_image_under_two_spellings_of_its_path_is_said() -> None:
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "./a.png"}, {"id": 9}]
    (warning,) = read_inputs({**TRUTH, "images": images}, [], ["bbox"]).warnings
    assert warning == "1 images are listed more than once, by file_name"


def test_only_what_is_compared_counts_as_mended() -> None:
    box = {"image_id": 7, "score": 0.5, "bbox": BOXES[0]}
    odd = [{**box, "segmentation": SQUARE, "area": "600"}, {**box, "score": "0.4"}]
    inputs = read_inputs(TRUTH, odd, ["bbox"])
    assert inputs.predictions.mends.counts == {NUMBERS: 1}
