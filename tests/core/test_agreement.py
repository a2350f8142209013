"""Box, area and mask of an object say the same, or it is said how they differ and why, likely."""

import copy
from typing import Any

import pytest

from ggn.core.agreement import area_agrees, box_agrees, disagreements, shape_of, xyxy
from ggn.core.coco import find_faults
from ggn.core.masks import areas, boxes_xyxy, from_segmentation

SIZE_HW = (60, 100)
# A rectangle from (20, 10) to (50, 30): 30 wide, 20 high, 600 pixels.
RECTANGLE = [[20, 10, 50, 10, 50, 30, 20, 30]]
BOX = [20, 10, 30, 20]


def by_columns(x: int, y: int, width: int, height: int, size_hw: tuple[int, int]) -> Any:
    """Run lengths of a rectangle in columns, as COCO has them."""
    rows, columns = size_hw
    runs = [x * rows + y, *[height, rows - height] * (width - 1), height]
    return {"size": [*size_hw], "counts": [*runs, rows * columns - sum(runs)]}


def by_rows(x: int, y: int, width: int, height: int, size_hw: tuple[int, int]) -> Any:
    """The same as a row-major exporter writes them: the right size, the wrong order."""
    turned = by_columns(y, x, height, width, (size_hw[1], size_hw[0]))
    return {"size": [*size_hw], "counts": turned["counts"]}


def reasons(bbox: Any, area: Any, segmentation: Any = RECTANGLE) -> list[str]:
    shape = shape_of(segmentation, SIZE_HW)
    assert shape is not None
    return list(disagreements(shape, bbox, area, SIZE_HW))


@pytest.mark.parametrize("segmentation", [RECTANGLE, by_columns(*BOX, SIZE_HW)])
def test_a_shape_is_measured_without_being_drawn(segmentation: Any) -> None:
    shape = shape_of(segmentation, SIZE_HW)
    assert shape is not None
    assert (shape.box, shape.area, shape.is_broad) == ((20, 10, 50, 30), 600, True)
    mask = from_segmentation(segmentation, SIZE_HW)
    assert boxes_xyxy([mask])[0].tolist() == [20, 10, 50, 30]
    assert areas([mask])[0] == 600
    assert reasons(BOX, 600, segmentation) == []


@pytest.mark.parametrize(
    ("bbox", "meaning"),
    [
        ([20, 10, 50, 30], "x1, y1, x2, y2"),
        ([35, 20, 30, 20], "centre x, centre y, width, height"),
        ([10, 20, 20, 30], "y, x, height, width"),
        ([10, 20, 30, 50], "y1, x1, y2, x2"),
        ([0.2, 1 / 6, 0.3, 1 / 3], "shares of 1"),
        ([0.2, 1 / 6, 0.5, 0.5], "x1, y1, x2, y2 as shares of 1"),
        ([0.35, 1 / 3, 0.3, 1 / 3], "centre and size as shares of 1"),
        ([20.0, 16.7, 30.0, 33.3], "percentages"),
        ([40, 20, 60, 40], "that of an image 2 times as large"),
        ([5, 2.5, 7.5, 5], "that of an image 0.25 times as large"),
    ],
)
def test_what_a_wrong_box_looks_like_is_said(bbox: Any, meaning: str) -> None:
    (reason,) = reasons(bbox, 600)
    assert reason == (
        f"bbox {bbox} is not the box of its segmentation, which is [20, 10, 30, 20]; "
        f"bbox looks like {meaning}"
    )


def test_run_lengths_by_rows_are_recognised() -> None:
    (reason,) = reasons(BOX, 600, by_rows(*BOX, SIZE_HW))
    assert reason.endswith("; the run lengths look like rows, but COCO's go down the columns")


@pytest.mark.parametrize(
    ("bbox", "agrees"),
    [
        ([20, 10, 30, 20], True),
        ([18, 8, 34, 24], True),  # 2 pixels wide all around
        ([21.4, 11.2, 27.9, 18.1], True),
        ([17, 10, 33, 20], True),  # 3 pixels are a tenth of 30
        ([16.9, 10, 33.1, 20], False),
        ([20, 7.9, 30, 22.1], False),  # of 20, a tenth is 2
        ([20, 10, 33.1, 20], False),
    ],
)
def test_tolerance_of_boxes_is_2_pixels_or_a_tenth_of_the_side(bbox: Any, agrees: bool) -> None:
    assert box_agrees(xyxy(bbox), (20, 10, 50, 30)) == agrees
    assert bool(reasons(bbox, None)) != agrees


@pytest.mark.parametrize(
    ("area", "agrees"),
    [
        (600, True),
        (300, True),
        (299, False),
        (0, False),
        (0.1, False),  # 600 of 6000 pixels
        (774, True),  # 1.1 times (30 + 2)(20 + 2) is 774.4
        (775, False),
        (1e9, False),
    ],
)
def test_an_area_lies_between_half_the_masks_and_that_of_its_box(area: float, agrees: bool) -> None:
    assert bool(reasons(BOX, area)) != agrees
    if area == 0.1:
        assert reasons(BOX, area)[0].endswith("; area looks like a share of 1")


@pytest.mark.parametrize(
    ("segmentation", "bbox", "area"),
    [
        ([[0, 0, 100, 0, 0, 60]], [0, 0, 100, 60], 6000),  # the area of the box, as Roboflow has it
        ([[20, 10, 21, 10, 21, 11, 20, 11]], [20, 10, 1, 1], 0),  # a pixel, rounded down
        ([*RECTANGLE, *RECTANGLE], BOX, 600),  # a polygon twice
        ([[20, 10, 50, 10, 50, 30, 20, 30], [60, 40, 70, 40, 70, 50]], [20, 10, 50, 40], 650),
        ([[20, 10, 120, 10, 120, 30, 20, 30]], [20, 10, 100, 20], 1600),  # cut off at 100
        ([[20, 10, 120, 10, 120, 30, 20, 30]], [20, 10, 80, 20], 2000),
    ],
)
def test_what_tools_write_for_good_objects_is_no_contradiction(
    segmentation: Any, bbox: Any, area: Any
) -> None:
    shape = shape_of(segmentation, SIZE_HW, [])
    assert shape is not None
    assert list(disagreements(shape, bbox, area, SIZE_HW)) == []
    assert area_agrees(area, shape)


def test_holes_and_several_columns_have_the_box_of_all_pixels() -> None:
    for runs, box in (
        ([0, 1, 5999], (0, 0, 1, 1)),
        ([59, 2, 5939], (0, 0, 2, 60)),  # the last of column 0, the first of column 1
        ([60, 60, 5880], (1, 0, 2, 60)),
        ([61, 3, 0, 4, 56 + 5876], (1, 1, 2, 8)),
        ([0, 6000], (0, 0, 100, 60)),
    ):
        shape = shape_of({"size": [60, 100], "counts": runs}, SIZE_HW)
        assert shape is not None
        assert shape.box == box
        mask = from_segmentation({"size": [60, 100], "counts": runs}, SIZE_HW)
        assert tuple(boxes_xyxy([mask])[0].tolist()) == box
    assert shape_of({"size": [60, 100], "counts": [6000]}, SIZE_HW) is None


def test_a_whole_dataset_of_corners_is_refused_object_by_object() -> None:
    record = {"image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": RECTANGLE}
    dataset: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 60}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [{**record, "id": i, "bbox": [20, 10, 50, 30], "area": 0} for i in (1, 2)],
    }
    faults = find_faults(dataset, "x.json")
    assert [fault.kind for fault in faults] == ["contradiction"] * 4
    assert [fault.reason.split()[0] for fault in faults] == ["bbox", "area"] * 2
    good = copy.deepcopy(dataset)
    for annotation in good["annotations"]:
        annotation.update(bbox=BOX, area=600)
    assert find_faults(good, "x.json") == []


def test_corners_outside_the_image_are_told_as_corners() -> None:
    dataset = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 60}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [
            {
                "id": 1, "image_id": 1, "category_id": 1, "area": 600, "bbox": [60, 30, 90, 50],
                "segmentation": [[60, 30, 90, 30, 90, 50, 60, 50]],
            }
        ],
    }  # fmt: skip
    (fault,) = find_faults(dataset, "x.json")
    assert fault.reason == (
        "bbox [x, y, width, height] = [60, 30, 90, 50] reaches outside the image, 100 wide and "
        "60 high; bbox looks like x1, y1, x2, y2"
    )
