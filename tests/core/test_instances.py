"""Instances are valid from construction on, and indexing acts on all fields."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from ggn.core import Instances
from ggn.core.masks import encode, from_segmentation

SIZE = (6, 8)


@pytest.fixture
def three() -> Instances:
    """One pixel, a row of two and a column of three, in this order."""
    bitmaps = np.zeros((3, *SIZE), dtype=bool)
    bitmaps[0, 0, 0] = bitmaps[1, 1, 2:4] = bitmaps[2, 2:5, 5] = True
    return Instances.from_bitmaps(bitmaps, [0.9, 0.5, 0.25])


def test_fields_by_hand(three: Instances) -> None:
    assert len(three) == 3
    assert three.image_size_hw == SIZE
    assert three.scores.dtype == np.float32
    assert three.areas.tolist() == [1, 2, 3]
    assert three.boxes_xyxy.tolist() == [[0, 0, 1, 1], [2, 1, 4, 2], [5, 2, 6, 5]]
    assert three.bitmaps().sum(axis=(1, 2)).tolist() == [1, 2, 3]


def test_resizing_takes_the_nearest_pixel_and_keeps_scores(three: Instances) -> None:
    doubled = three.resized((12, 16))
    assert doubled.image_size_hw == (12, 16)
    assert doubled.boxes_xyxy.tolist() == [[0, 0, 2, 2], [4, 2, 8, 4], [10, 4, 12, 10]]
    assert doubled.scores.tolist() == three.scores.tolist()
    assert three.resized(SIZE) is three


@pytest.mark.parametrize(
    ("key", "areas"),
    [
        (slice(2), [1, 2]),
        (slice(None, None, -1), [3, 2, 1]),
        ([2, 0], [3, 1]),
        (np.array([1, 1]), [2, 2]),
        ([True, False, True], [1, 3]),
        ([], []),
        (np.zeros(3, dtype=bool), []),
        (np.zeros(0, dtype=np.int64), []),
    ],
)
def test_indexing_acts_on_all_fields(three: Instances, key: Any, areas: list[int]) -> None:
    chosen = three[key]
    score_of_area = {1: 0.9, 2: 0.5, 3: 0.25}
    assert chosen.areas.tolist() == areas
    assert chosen.scores.tolist() == pytest.approx([score_of_area[area] for area in areas])
    assert chosen.image_size_hw == SIZE


def test_indexing_refuses_what_is_no_selection(three: Instances) -> None:
    with pytest.raises(TypeError, match="index with a number, a slice or a 1-d array, got True"):
        three[True]
    with pytest.raises(IndexError):
        three[[True, False]]
    with pytest.raises(IndexError):
        three[[3]]


def test_a_number_gives_one_instance_and_so_does_iteration(three: Instances) -> None:
    last = three[-1]
    assert (last.area, last.score, last.box_xyxy) == (3, 0.25, (5, 2, 6, 5))
    assert last.image_size_hw == SIZE
    assert (last.bitmap() == three.bitmaps()[2]).all()
    assert last.polygons()[0].tolist() == [[5, 2], [6, 2], [6, 5], [5, 5]]
    assert list(three) == [three[0], three[np.int64(1)], three[2]]
    with pytest.raises(IndexError):
        three[3]
    assert list(Instances.empty(SIZE)) == []


def test_one_line_says_what_there_is(three: Instances) -> None:
    assert repr(three) == "Instances(3 masks of 6×8, scores 0.25–0.90)"
    assert repr(three[1:2]) == "Instances(1 mask of 6×8, score 0.50)"
    assert repr(three[:0]) == "Instances(0 masks of 6×8)"


def test_boxes_are_computed_once_and_cannot_be_spoilt(three: Instances) -> None:
    assert three.boxes_xyxy is three.boxes_xyxy
    three.to_coco_results(1)
    assert three.boxes_xyxy[2].tolist() == [5, 2, 6, 5]
    with pytest.raises(ValueError, match="read-only"):
        three.boxes_xyxy[0] = 0


def test_polygons_are_those_of_each_mask(three: Instances) -> None:
    drawn = [
        from_segmentation([p.ravel().tolist() for p in polygons], SIZE)
        for polygons in three.polygons()
    ]
    assert drawn == three.masks


def test_pandas_frame_by_hand(three: Instances) -> None:
    frame = three.to_pandas()
    assert list(frame.columns) == ["score", "area", "x_min", "y_min", "x_max", "y_max", "mask"]
    assert frame.loc[2].to_list() == [0.25, 3, 5, 2, 6, 5, three.masks[2]]
    assert len(Instances.empty(SIZE).to_pandas()) == 0


def test_to_supervision_and_back(three: Instances) -> None:
    detections = three.to_supervision()
    assert detections.xyxy.tolist() == three.boxes_xyxy.tolist()
    assert detections.area.tolist() == [1, 2, 3]
    again = Instances.from_supervision(detections[detections.confidence < 0.6])
    assert again.masks == three.masks[1:]
    assert again.scores.tolist() == three.scores[1:].tolist()
    none = Instances.empty(SIZE)
    assert len(Instances.from_supervision(none.to_supervision(), SIZE)) == 0


def test_supervision_is_loaded_without_a_warning() -> None:
    """Without OpenCV, its import warns of slower drawing; here it is the first of the process."""
    words = "import ggn; print(len(ggn.Instances.empty((4, 5)).to_supervision()))"
    command = [sys.executable, "-W", "error", "-c", words]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == ("0\n", "")


def test_from_supervision_of_annotations_and_of_boxes(three: Instances) -> None:
    detections = three.to_supervision()
    detections.confidence = None
    assert Instances.from_supervision(detections).scores.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"must have the size .* \(8, 6\), got \(6, 8\)"):
        Instances.from_supervision(detections, (8, 6))
    detections.mask = None
    with pytest.raises(ValueError, match="the 3 detections have no masks, only boxes"):
        Instances.from_supervision(detections)
    with pytest.raises(ValueError, match="size_hw must be given"):
        Instances.from_supervision(detections[:0])


def test_empty() -> None:
    empty = Instances.empty(SIZE)
    assert len(empty) == 0
    assert empty.bitmaps().shape == (0, 6, 8)
    assert empty.boxes_xyxy.shape == (0, 4)
    assert empty.to_coco_results(1) == []


def test_fields_cannot_be_set(three: Instances) -> None:
    with pytest.raises(FrozenInstanceError):
        three.scores = np.zeros(3, dtype=np.float32)  # type: ignore[misc]


ONE = encode(np.ones((1, *SIZE), bool))


@pytest.mark.parametrize(
    ("masks", "scores", "size", "message"),
    [
        (ONE, [0.5, 0.5], SIZE, r"scores must be \(1,\), got \(2,\)"),
        (ONE, 0.5, SIZE, r"scores must be \(1,\), got \(\)"),
        (ONE, [np.nan], SIZE, "scores must be finite, got nan at 0"),
        (ONE, [0.5], (8, 6), r"mask 0 must have the size .* \(8, 6\), got \(6, 8\)"),
        ([], [], (0, 6), r"image_size_hw must be positive, got \(0, 6\)"),
    ],
)
def test_construction_refuses(masks: Any, scores: Any, size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Instances(masks, np.array(scores), size)


def test_coco_results_by_hand(three: Instances) -> None:
    assert three[[1]].to_coco_results(image_id=7, category_id=3) == [
        {
            "image_id": 7,
            "category_id": 3,
            "segmentation": three.masks[1],
            "bbox": [2, 1, 2, 1],
            "area": 2,
            "score": 0.5,
        }
    ]


def test_coco_results_and_back(three: Instances) -> None:
    again = Instances.from_coco_results(three.to_coco_results(1), SIZE)
    assert again.masks == three.masks
    assert (again.scores == three.scores).all()


def test_from_coco_results_names_the_faulty_record(three: Instances) -> None:
    records = three.to_coco_results(1)
    records[1]["segmentation"] = {"size": [6, 8], "counts": "not an RLE"}
    with pytest.raises(ValueError, match=r"record 1: RLE counts has a character .*: 't'"):
        Instances.from_coco_results(records, SIZE)


def test_an_image_may_be_as_small_as_a_pixel() -> None:
    pixel = Instances.from_bitmaps(np.ones((1, 1, 1), bool), [0.5])
    assert pixel.image_size_hw == (1, 1)
    assert pixel.areas.tolist() == [1]
    for size in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="image_size_hw must be positive"):
            Instances.empty(size)


def test_run_lengths_with_scores_are_instances(three: Instances) -> None:
    again = Instances.from_counts([m["counts"] for m in three.masks], [0.9, 0.5, 0.25], SIZE)
    assert again.masks == three.masks
    assert again.scores.tolist() == three.scores.tolist()


def test_results_and_detections_are_of_one_class_unless_told_otherwise(three: Instances) -> None:
    assert {record["category_id"] for record in three.to_coco_results(7)} == {1}
    class_id = three.to_supervision().class_id
    assert class_id is not None
    assert class_id.tolist() == [0, 0, 0]
    assert np.issubdtype(class_id.dtype, np.integer)


def test_frames_count_areas_and_can_be_written_to(three: Instances) -> None:
    frame = three.to_pandas()
    assert frame["area"].dtype == np.int64
    frame.loc[0, "x_min"] = 5
    assert three.boxes_xyxy[0, 0] == 0
