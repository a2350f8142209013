"""The table of faulty datasets: what a person reads for each; and that nothing valid is refused."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from ggn.core.coco import find_faults, read_coco

NAN, INFINITY = float("nan"), float("inf")
REMOVED = object()

VALID: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 8, "height": 6},
        {"id": 2, "file_name": "part/b.jpg", "width": 8, "height": 6},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 5, "name": "dog"}],
    "annotations": [
        {
            "id": 10,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 1, 3, 2],
            "area": 6.0,
            "iscrowd": 0,
            "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]],
        },
        {
            "id": 11,
            "image_id": 2,
            "category_id": 5,
            "bbox": [1.0, 1.0, 3.0, 2.0],
            "area": 6,
            "iscrowd": 1,
            "segmentation": {"size": [6, 8], "counts": "724000g0"},
        },
    ],
}


def changed(place: Sequence[str | int], value: Any) -> Any:
    """A copy of VALID with one value replaced (or removed)."""
    dataset = copy.deepcopy(VALID)
    if not place:
        return value
    parent: Any = dataset
    for key in place[:-1]:
        parent = parent[key]
    if value is REMOVED:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return dataset


def rle(counts: Any, size: Any = (6, 8)) -> dict[str, Any]:
    return {"size": list(size), "counts": counts}


def test_the_dataset_that_the_table_changes_is_valid() -> None:
    assert find_faults(VALID, "x.json") == []


TOP = [
    # place, value, where, reason
    ((), [1], "top level", "must be an object with images, categories and annotations, got [1]"),
    (("images",), REMOVED, "images", "must be a list, got nothing"),
    (("images",), {}, "images", "must be a list, got {}"),
    (("categories",), None, "categories", "must be a list, got None"),
    (("annotations",), REMOVED, "annotations", "must be a list, got nothing"),
    (("categories", 1), 5, "categories[1]", "must be an object, got 5"),
    (("annotations", 0), "cat", "annotations[0]", "must be an object, got 'cat'"),
]

IMAGE = [
    # key, value, reason, for the second image
    ("id", 1, "id 1 is already used by images[0]"),
    ("id", "2", "id must be an integer from 0 to 9223372036854775807, got '2'"),
    ("id", True, "id must be an integer from 0 to 9223372036854775807, got True"),
    ("id", -2, "id must be an integer from 0 to 9223372036854775807, got -2"),
    ("id", 2.0, "id must be an integer from 0 to 9223372036854775807, got 2.0"),
    ("id", 2**63, "id must be an integer from 0 to 9223372036854775807, got 9223372036854775808"),
    ("id", REMOVED, "has no key 'id'"),
    ("width", REMOVED, "has no key 'width'"),
    ("height", 0, "height must be an integer >= 1, got 0"),
    ("width", -8, "width must be an integer >= 1, got -8"),
    ("width", "8", "width must be an integer >= 1, got '8'"),
    ("height", True, "height must be an integer >= 1, got True"),
    ("width", 2**30, "an image of 1073741824 x 6 pixels is too large for run lengths"),
    ("file_name", REMOVED, "has no key 'file_name'"),
    ("file_name", 7, "file_name must be a non-empty string, got 7"),
    ("file_name", " ", "file_name must be a non-empty string, got ' '"),
    ("file_name", "/etc/b", "file_name must be relative to the image folder, got '/etc/b'"),
    ("file_name", "C:\\b", "file_name must be relative to the image folder, got 'C:\\\\b'"),
    ("file_name", "../b", "file_name must stay inside the image folder, got '../b'"),
    ("file_name", "x/../../b", "file_name must stay inside the image folder, got 'x/../../b'"),
    ("file_name", "x\\b", "file_name must separate folders with /, got 'x\\\\b'"),
    ("file_name", "b\0", "file_name has characters that a file name can't have, got 'b\\x00'"),
    ("file_name", "\ud800", "file_name has characters that a file name can't have, got '\\ud800'"),
]

CATEGORY = [
    # key, value, reason, for the second category
    ("id", 1, "id 1 is already used by categories[0]"),
    ("id", None, "id must be an integer from 0 to 9223372036854775807, got None"),
    ("id", REMOVED, "has no key 'id'"),
    ("name", REMOVED, "has no key 'name'"),
    ("name", "", "name must be a non-empty string, got ''"),
    ("name", 3, "name must be a non-empty string, got 3"),
    (
        "name",
        "person",
        "name 'person' is also that of categories[0] (id 1), and annotations use both",
    ),
]

OUTSIDE = "outside the image, 8 wide and 6 high"
ANNOTATION = [
    # key, value, reason, for the second annotation
    ("id", 10, "id 10 is already used by annotations[0]"),
    ("id", "11", "id must be an integer from 0 to 9223372036854775807, got '11'"),
    ("id", False, "id must be an integer from 0 to 9223372036854775807, got False"),
    ("id", REMOVED, "has no key 'id'"),
    ("image_id", 3, "image_id 3 is not the id of any of the images"),
    ("image_id", "1", "image_id must be an integer from 0 to 9223372036854775807, got '1'"),
    ("image_id", True, "image_id must be an integer from 0 to 9223372036854775807, got True"),
    ("image_id", [1], "image_id must be an integer from 0 to 9223372036854775807, got [1]"),
    ("image_id", REMOVED, "has no key 'image_id'"),
    ("category_id", 2, "category_id 2 is not the id of any of the categories"),
    ("category_id", 5.0, "category_id must be an integer from 0 to 9223372036854775807, got 5.0"),
    ("category_id", REMOVED, "has no key 'category_id'"),
    ("iscrowd", 2, "iscrowd must be 0 or 1, got 2"),
    ("iscrowd", True, "iscrowd must be 0 or 1, got True"),
    ("iscrowd", "0", "iscrowd must be 0 or 1, got '0'"),
    ("iscrowd", None, "iscrowd must be 0 or 1, got None"),
    ("area", -1, "area must be >= 0, got -1"),
    ("area", NAN, "area must have only finite numbers, got nan"),
    ("area", "6", "area must have only numbers, got '6'"),
    ("area", REMOVED, "has no key 'area'"),
    ("bbox", REMOVED, "has no key 'bbox'"),
    ("bbox", [1, 1, 3], "bbox must be [x, y, width, height], got [1, 1, 3]"),
    ("bbox", {"x": 1}, "bbox must be [x, y, width, height], got {'x': 1}"),
    ("bbox", [1, 1, "3", 2], "bbox must have only numbers, got '3'"),
    ("bbox", [1, 1, True, 2], "bbox must have only numbers, got True"),
    ("bbox", [NAN, 1, 3, 2], "bbox must have only finite numbers, got nan"),
    ("bbox", [1.0, 1.0, INFINITY, 2.0], "bbox must have only finite numbers, got inf"),
    (
        "bbox",
        [1, 1, 0, 2],
        "bbox [x, y, width, height] must have a width and height > 0, got [1, 1, 0, 2]",
    ),
    (
        "bbox",
        [4, 3, -3, -2],
        "bbox [x, y, width, height] must have a width and height > 0, got [4, 3, -3, -2]",
    ),
    ("bbox", [6, 1, 4, 3], f"bbox [x, y, width, height] = [6, 1, 4, 3] reaches {OUTSIDE}"),
    ("bbox", [-2, 1, 4, 3], f"bbox [x, y, width, height] = [-2, 1, 4, 3] reaches {OUTSIDE}"),
    ("segmentation", REMOVED, "has no key 'segmentation'"),
    ("segmentation", None, "segmentation must be a list of polygons or an RLE object, got None"),
    (
        "segmentation",
        "724000g0",
        "segmentation must be a list of polygons or an RLE object, got '724000g0'",
    ),
    ("segmentation", [], "segmentation is an empty list"),
    ("segmentation", [1, 1, 4, 1, 4, 3], "polygon 0 must be a list of numbers, got 1"),
    ("segmentation", [[]], "polygon 0 has 0 points, but needs at least 3"),
    ("segmentation", [[1, 1, 4, 3]], "polygon 0 has 2 points, but needs at least 3"),
    (
        "segmentation",
        [[1, 1, 4, 1, 4, 3], [1, 1, 4, 1, 4]],
        "polygon 1 has 5 numbers, but x and y must come in pairs",
    ),
    ("segmentation", [[1, 1, 4, 1, "4", 3]], "polygon 0 must have only numbers, got '4'"),
    ("segmentation", [[1, 1, 4, 1, None, 3]], "polygon 0 must have only numbers, got None"),
    ("segmentation", [[1, 1, 4, 1, True, 3]], "polygon 0 must have only numbers, got True"),
    ("segmentation", [[1, 1, 4, 1, NAN, 3]], "polygon 0 must have only finite numbers, got nan"),
    (
        "segmentation",
        [[1.0, 1.0, INFINITY, -INFINITY, 4.0, 3.0]],
        "polygon 0 must have only finite numbers, got inf",
    ),
    (
        "segmentation",
        [[1, 1, 10**320, 1, 4, 3]],
        "polygon 0 must have only finite numbers, got 100000000000000000...0000000000000000000",
    ),
    ("segmentation", [[1, 1, 9.5, 1, 4, 3]], f"polygon 0 has the point (9.5, 1) {OUTSIDE}"),
    ("segmentation", [[1, -2, 4, 1, 4, 3]], f"polygon 0 has the point (1, -2) {OUTSIDE}"),
    ("segmentation", [[1, 1, 1e9, 1, 4, 3]], f"polygon 0 has the point (1e+09, 1) {OUTSIDE}"),
    ("segmentation", [[1, 1, 1, 1, 1, 1]], "segmentation covers no pixel"),
    ("segmentation", [[1, 1, 4, 1, 1, 1]], "segmentation covers no pixel"),
    ("segmentation", [[-1, 0, 0, 0, 0, 6, -1, 6]], "segmentation covers no pixel"),
    ("segmentation", {"size": [6, 8]}, "RLE has no key 'counts'"),
    ("segmentation", {"counts": "724000g0"}, "RLE has no key 'size'"),
    ("segmentation", rle("724000g0", [6]), "RLE size must be [height, width], got [6]"),
    ("segmentation", rle("724000g0", ["6", 8]), "RLE size must be [height, width], got ['6', 8]"),
    (
        "segmentation",
        rle("724000g0", [8, 6]),
        "RLE size is [8, 6] [height, width], but the image is 6 high and 8 wide",
    ),
    ("segmentation", rle(5), "RLE counts must be a string or a list, got 5"),
    ("segmentation", rle([]), "RLE counts add up to 0 pixels, but the image has 48"),
    ("segmentation", rle([7, 2, 4]), "RLE counts add up to 13 pixels, but the image has 48"),
    ("segmentation", rle([7, -2, 43]), "RLE counts must be integers >= 0, got a run of -2"),
    ("segmentation", rle([7, 2.0, 39]), "RLE counts must be integers >= 0, got 2.0"),
    ("segmentation", rle([7, "2", 39]), "RLE counts must be integers >= 0, got '2'"),
    (
        "segmentation",
        rle([0, 2**40]),
        "RLE has a run of 1099511627776 pixels, but the image has only 48",
    ),
    ("segmentation", rle([48]), "segmentation covers no pixel"),
    ("segmentation", rle([20, 0, 28]), "segmentation covers no pixel"),
    ("segmentation", rle("`1"), "segmentation covers no pixel"),
    ("segmentation", rle(""), "RLE counts is an empty string"),
    (
        "segmentation",
        rle("7240 00g0"),
        "RLE counts has a character that is not allowed: ' '",
    ),
    ("segmentation", rle("724000ü"), "RLE counts has a character that is not allowed: 'ü'"),
    ("segmentation", rle("724000g"), "RLE counts is cut off in the middle of a number"),
    ("segmentation", rle("oooooooo0"), "RLE counts has a number longer than any run of pixels"),
    ("segmentation", rle("724000"), "RLE counts add up to 21 pixels, but the image has 48"),
    ("segmentation", rle("7O4000g0"), "RLE counts must be integers >= 0, got a run of -1"),
]


@pytest.mark.parametrize(("place", "value", "where", "reason"), TOP)
def test_faulty_structure(place: Sequence[str | int], value: Any, where: str, reason: str) -> None:
    faults = find_faults(changed(place, value), "x.json")
    assert str(faults[0]) == f"x.json: {where}: {reason}"


def _check_record(section: str, key: str, value: Any, reason: str) -> None:
    dataset = changed((section, 1, key), value)
    identity = {} if key == "id" else {"id": VALID[section][1]["id"]}
    named = dataset[section][1].get("id", REMOVED)
    suffix = "" if named is REMOVED else f" (id {identity.get('id', named)!r})"
    faults = [fault for fault in find_faults(dataset, "x.json") if fault.where.startswith(section)]
    assert [str(fault) for fault in faults] == [f"x.json: {section}[1]{suffix}: {reason}"]


@pytest.mark.parametrize(("key", "value", "reason"), IMAGE)
def test_faulty_image(key: str, value: Any, reason: str) -> None:
    _check_record("images", key, value, reason)


@pytest.mark.parametrize(("key", "value", "reason"), CATEGORY)
def test_faulty_category(key: str, value: Any, reason: str) -> None:
    _check_record("categories", key, value, reason)


@pytest.mark.parametrize(("key", "value", "reason"), ANNOTATION)
def test_faulty_annotation(key: str, value: Any, reason: str) -> None:
    _check_record("annotations", key, value, reason)


def test_all_faults_are_listed_in_the_order_of_the_file() -> None:
    dataset = copy.deepcopy(VALID)
    dataset["images"][1]["width"] = 0
    dataset["categories"][0].pop("name")
    dataset["annotations"][0].update(id=-1, image_id=9, bbox=[0, 0, 0, 0], area=-4)
    dataset["annotations"][1].update(iscrowd=3)
    places = [(fault.where, fault.reason.split()[0]) for fault in find_faults(dataset, "x.json")]
    assert places == [
        ("images[1] (id 2)", "width"),
        ("categories[0] (id 1)", "has"),
        ("annotations[0] (id -1)", "id"),
        ("annotations[0] (id -1)", "image_id"),
        ("annotations[0] (id -1)", "area"),
        ("annotations[0] (id -1)", "bbox"),
        ("annotations[1] (id 11)", "iscrowd"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "bbox"),
    [
        ("iscrowd", REMOVED, [1, 1, 3, 2]),  # LVIS has none
        # a pixel of overshoot on all sides
        ("segmentation", [[-1, -1, 9, -1, 9, 7, -1, 7]], [-1, -1, 10, 8]),
        ("segmentation", [[1, 1, 2, 1, 2, 2, 1, 2]], [1, 1, 3, 2]),  # a single pixel
        ("segmentation", rle([0, 48]), [0, 0, 8, 6]),
        ("segmentation", rle([7, 1, 0, 1, 39, 0]), [1, 1, 3, 2]),
        ("id", 0, [1, 1, 3, 2]),
    ],
)
def test_what_official_files_do_is_no_fault(key: str, value: Any, bbox: list[int]) -> None:
    dataset = changed(("annotations", 1, key), value)
    dataset["annotations"][1].update(bbox=bbox, area=bbox[2] * bbox[3])
    assert find_faults(dataset, "x.json") == []


def test_faults_of_a_missing_image_list_do_not_make_every_annotation_dangle() -> None:
    faults = find_faults(changed(("images",), REMOVED), "x.json")
    assert [fault.where for fault in faults] == ["images"]


def test_an_empty_image_list_is_a_fault_but_no_annotations_are_none() -> None:
    assert find_faults(changed(("annotations",), []), "x.json") == []
    dataset = {"images": [], "categories": [], "annotations": []}
    assert [str(f) for f in find_faults(dataset, "x.json")] == [
        "x.json: images: is empty; there is nothing to do"
    ]


def test_genuine_data_has_no_fault(shared: Any) -> None:
    for file in (
        "coco650/annotations/instances_train2017.json",
        "coco650/annotations/instances_val2017.json",
        "coco650/annotations/dense_val2017.json",
        "bsds500/annotations/regions_val.json",
        "nuclei108/annotations/instances_val.json",
    ):
        assert read_coco(shared / "data" / file)["annotations"], file


@pytest.mark.parametrize("bbox", [[-1.1, 1, 4, 2], [1, -1.1, 3, 4], [5, 1, 4.1, 2], [1, 4, 3, 3.1]])
def test_a_box_may_overshoot_by_a_pixel_on_each_side_and_no_more(bbox: list[float]) -> None:
    (fault,) = find_faults(changed(("annotations", 1, "bbox"), bbox), "x.json")
    assert fault.reason.startswith(
        f"bbox [x, y, width, height] = {bbox} reaches outside the image, 8 wide and 6 high"
    )


def test_a_mask_of_a_pixel_may_have_the_area_0_where_it_was_rounded_down() -> None:
    dataset = changed(("annotations", 1, "segmentation"), [[1, 1, 2, 1, 2, 2, 1, 2]])
    dataset["annotations"][1].update(bbox=[1, 1, 1, 1], area=0)
    assert find_faults(dataset, "x.json") == []
