"""What tools write otherwise than COCO is understood, counted by kind, and written as COCO does."""

import copy
from typing import Any

import numpy as np
import pytest

from ggn.core.census import take_census
from ggn.core.coco import find_faults
from ggn.core.faults import NUMBERED
from ggn.core.masks import areas, boxes_xyxy, decode, from_segmentation
from ggn.core.mending import Mended, free_ids, mend
from ggn.core.objects import BOX_OUTSIDE, CROWD_WORDS, DERIVED
from ggn.core.segmentation import OUTSIDE, SCRAPS

SQUARE = [2, 2, 6, 2, 6, 6, 2, 6]
OTHER = [[10, 2, 14, 2, 14, 8, 10, 8]]


def dataset(**change: Any) -> dict[str, Any]:
    """Two objects of one image, 20 wide and 10 high; the second one is changed."""
    first = {
        "id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 24, "bbox": [10, 2, 4, 6],
        "segmentation": OTHER,
    }  # fmt: skip
    second = {**first, "id": 2, "area": 16, "bbox": [2, 2, 4, 4], "segmentation": [SQUARE]}
    second = {key: value for key, value in {**second, **change}.items() if value is not ...}
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [first, second],
    }


def mended(**change: Any) -> tuple[Mended, dict[str, Any]]:
    """What becomes of the second object; the result is sound, and the input as it was."""
    given = dataset(**change)
    before = copy.deepcopy(given)
    done = mend(given, "x.json")
    assert given == before
    assert done.faults == []
    assert find_faults(done.dataset, "x.json") == []
    assert done.dataset["annotations"][0] == given["annotations"][0]
    return done, done.dataset["annotations"][1]


def test_what_is_sound_stays_the_very_same() -> None:
    given = dataset()
    done = mend(given, "x.json")
    assert done.dataset is given
    assert (done.mended, done.dropped, done.repeated) == ({}, {}, [])


@pytest.mark.parametrize(
    ("change", "kinds", "becomes"),
    [
        ({"iscrowd": False}, {CROWD_WORDS: 1}, {"iscrowd": 0}),
        ({"iscrowd": True}, {CROWD_WORDS: 1}, {"iscrowd": 1}),
        ({"iscrowd": None}, {CROWD_WORDS: 1}, {"iscrowd": 0}),
        ({"iscrowd": 1.0}, {CROWD_WORDS: 1}, {"iscrowd": 1}),
        ({"area": ...}, {DERIVED: 1}, {"area": 16.0}),
        ({"bbox": ..., "area": None}, {DERIVED: 1}, {"area": 16.0, "bbox": [2, 2, 4, 4]}),
        ({"bbox": []}, {DERIVED: 1}, {"bbox": [2, 2, 4, 4]}),
        ({"bbox": None, "iscrowd": True}, {CROWD_WORDS: 1, DERIVED: 1}, {"bbox": [2, 2, 4, 4]}),
        ({"segmentation": [SQUARE, [3, 3]]}, {SCRAPS: 1}, {"segmentation": [SQUARE]}),
        ({"segmentation": [[], [3, 3, 4, 4], SQUARE]}, {SCRAPS: 1}, {"segmentation": [SQUARE]}),
        ({"id": 1}, {NUMBERED: 1}, {"id": 2}),
        ({"id": ...}, {NUMBERED: 1}, {"id": 2}),
        ({"id": 2**70}, {NUMBERED: 1}, {"id": 2}),
        ({"id": "6f1c"}, {NUMBERED: 1}, {"id": 2}),
        ({"id": 2**63 - 1}, {}, {"id": 2**63 - 1}),
    ],
)
def test_mended_and_counted(change: Any, kinds: dict[str, int], becomes: dict[str, Any]) -> None:
    done, annotation = mended(**change)
    assert done.mended == kinds
    assert {key: annotation[key] for key in becomes} == becomes
    for kind in kinds:
        assert done.first[kind].startswith("annotations[1]")


@pytest.mark.parametrize(
    ("polygon", "bbox", "left"),  # left: x0, y0, x1, y1 of what remains in the image
    [
        ([16, 2, 23, 2, 23, 6, 16, 6], [16, 2, 7, 4], [16, 2, 20, 6]),
        ([2, -4, 6, -4, 6, 4, 2, 4], [2, -4, 4, 8], [2, 0, 6, 4]),
        ([2, 2, 1e6, 2, 1e6, 6, 2, 6], [2, 2, 18, 4], [2, 2, 20, 6]),  # box of what is left
        ([-50, -50, 90, -50, 90, 90, -50, 90], [0, 0, 20, 10], [0, 0, 20, 10]),
        ([-1e9, 4, 1e9, 4, 1e9, 8, -1e9, 8], [0, 4, 20, 4], [0, 4, 20, 8]),
    ],
)
def test_polygons_are_cut_off_at_the_border_of_the_image(
    polygon: list[float], bbox: list[float], left: list[int]
) -> None:
    done, annotation = mended(segmentation=[polygon], bbox=bbox, area=bbox[2] * bbox[3])
    assert done.mended[OUTSIDE] == 1
    x0, y0, x1, y1 = left
    expected = np.zeros((10, 20), np.uint8)
    expected[y0:y1, x0:x1] = 1
    assert decode([annotation["segmentation"]], (10, 20))[0].tolist() == expected.tolist()
    assert annotation["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert annotation["area"] == expected.sum()


def test_a_slanted_edge_is_cut_where_it_leaves_and_not_bent() -> None:
    """A triangle with a corner far to the right: its upper edge rises by 1 in 10."""
    far = [[0, 0, 1000, 100, 0, 100]]
    mask = decode([from_segmentation(far, (10, 20), [])], (10, 20))[0]
    near = decode([from_segmentation([[0, 0, 100, 10, 0, 10]], (10, 100))], (10, 100))[0][:, :20]
    assert mask.tolist() == near.tolist()


def test_a_box_outside_the_image_is_that_of_the_mask_if_they_agree() -> None:
    done, annotation = mended(bbox=[15, 2, 9, 4], segmentation=[[15, 2, 20, 2, 20, 6, 15, 6]])
    assert done.mended == {BOX_OUTSIDE: 1}
    assert annotation["bbox"] == [15, 2, 5, 4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iscrowd": 2}, "iscrowd must be 0 or 1, got 2"),
        ({"iscrowd": "false"}, "iscrowd must be 0 or 1, got 'false'"),
        ({"segmentation": [[3, 3]]}, "polygon 0 has 1 points, but needs at least 3"),
        ({"segmentation": [[3, 3, 4]]}, "polygon 0 has 3 numbers, but x and y must come in pairs"),
        ({"segmentation": [[30, 2, 40, 2, 40, 6]]}, "segmentation covers no pixel"),
        (
            {"segmentation": [[0.1, 0.2, 0.3, 0.2, 0.3, 0.6]], "bbox": [0.1, 0.2, 0.2, 0.4]},
            "segmentation looks like shares of 1, but must be in pixels",
        ),
        (
            {"segmentation": [[0, 0, 1, 0, 1, 0.9, 0, 0.9]], "bbox": [0, 0, 1, 0.9]},  # a pixel
            "segmentation looks like shares of 1, but must be in pixels",
        ),
        ({"segmentation": [[1e7, 2, 2e7, 2, 2e7, 6]]}, "segmentation covers no pixel"),
        ({"bbox": [2, 2, 0, 4]}, "bbox [x, y, width, height] must have a width and height > 0"),
        ({"bbox": ..., "segmentation": []}, "has no key 'bbox'"),
        ({"image_id": 2**64}, "image_id must be an integer from 0 to 9223372036854775807"),
    ],
)
def test_what_cannot_be_understood_stays_a_fault(change: Any, reason: str) -> None:
    given = dataset(**change)
    done = mend(given, "x.json")
    assert done.dataset is given
    assert any(fault.reason.startswith(reason) for fault in done.faults)
    assert mend(given, "x.json", drop=True).dataset["annotations"] == given["annotations"][:1]


def test_strict_reading_mends_nothing() -> None:
    for change in (
        {"iscrowd": False},
        {"area": ...},
        {"segmentation": [SQUARE, [3, 3]]},
        {"id": 1},
    ):
        assert len(mend(dataset(**change), "x.json", strict=True).faults) == 1
    twice = dataset()
    twice["annotations"].append({**twice["annotations"][0], "id": 9})
    assert [f.kind for f in mend(twice, "x.json", strict=True).faults] == ["repeated"]


REPEATED = [
    # a change of a copy of the second object; whether it is the same object, or how it differs
    ({}, True),
    ({"iscrowd": 1}, True),
    ({"category_id": 2}, False),
    ({"image_id": 2}, False),
    ({"segmentation": [[2, 2, 6, 2, 6, 6]]}, False),
    ({"bbox": [2, 2, 4, 5]}, "drawn in another way"),
    ({"bbox": [2.0, 2.0, 4.0, 4.0]}, True),
]


@pytest.mark.parametrize(("change", "is_same"), REPEATED)
def test_objects_that_are_listed_twice(change: Any, is_same: bool | str) -> None:
    given = dataset()
    given["images"].append({**given["images"][0], "id": 2, "file_name": "b.png"})
    given["categories"].append({"id": 2, "name": "kite"})
    given["annotations"].append({**given["annotations"][1], "id": 7, **change})
    done = mend(given, "x.json")
    assert (done.faults, done.dataset) == ([], given)
    assert [str(fault) for fault in done.repeated if fault.kind == "repeated"] == [
        "x.json: annotations[2] (id 7): is the same object as annotations[1]"
        + (f", {is_same}" if isinstance(is_same, str) else "")
    ] * bool(is_same)
    dropped = mend(given, "x.json", drop=True)
    assert len(dropped.dataset["annotations"]) == 3 - bool(is_same)
    assert dropped.dropped == ({"repeated": 1} if is_same else {})
    assert dropped.dropped_share == 0


def test_an_object_in_two_categories_is_named_and_stays() -> None:
    given = dataset()
    given["categories"].append({"id": 2, "name": "kite"})
    kite = {**given["annotations"][1], "id": 7, "category_id": 2}
    given["annotations"] += [kite, {**kite, "id": 8}]
    for options in ({}, {"drop": True}):
        done = mend(given, "x.json", **options)
        assert [(fault.kind, fault.where, fault.reason) for fault in done.repeated] == [
            (
                "relabelled",
                "annotations[2] (id 7)",
                "is the same object as annotations[1], in the category 1",
            ),
            ("repeated", "annotations[3] (id 8)", "is the same object as annotations[2]"),
        ]
        assert len(done.dataset["annotations"]) == 4 - len(options)
    assert [fault.kind for fault in mend(given, "x.json", strict=True).faults] == ["repeated"]


def test_an_image_under_two_ids_becomes_one_with_the_objects_of_both() -> None:
    given = dataset()
    given["images"].append({**given["images"][0], "id": 5})
    again, new = dict(given["annotations"][0]), dict(given["annotations"][1])
    given["annotations"] += [
        {**again, "id": 3, "image_id": 5},
        {**new, "id": 4, "image_id": 5, "segmentation": [[3, 3, 7, 3, 7, 7]], "bbox": [3, 3, 4, 4]},
    ]
    done = mend(given, "x.json")
    assert (done.faults, done.dataset) == ([], given)
    assert [fault.where for fault in done.repeated] == ["images[1] (id 5)", "annotations[2] (id 3)"]
    dropped = mend(given, "x.json", drop=True).dataset
    assert [image["id"] for image in dropped["images"]] == [1]
    assert [(a["id"], a["image_id"]) for a in dropped["annotations"]] == [(1, 1), (2, 1), (4, 1)]
    assert find_faults(dropped, "x.json") == []


def test_free_ids_come_after_the_others_or_fill_the_gaps() -> None:
    def first_two(*ids: Any) -> list[int]:
        found = free_ids([{"id": id_} for id_ in ids])
        return [next(found), next(found)]

    assert first_two() == [1, 2]
    assert first_two(4, 2) == [5, 6]
    assert first_two(2**63 - 1, 1) == [2, 3]
    assert first_two(2**63 - 2) == [2**63 - 1, 1]
    assert first_two("x", 2**70, None, -3) == [1, 2]


def test_mended_areas_and_boxes_are_those_of_the_mask() -> None:
    triangle = [[1, 1, 9, 1, 1, 9]]
    _, annotation = mended(segmentation=triangle, area=..., bbox=...)
    mask = from_segmentation(triangle, (10, 20))
    x0, y0, x1, y1 = boxes_xyxy([mask])[0].tolist()
    assert annotation["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert annotation["area"] == areas([mask])[0]


def test_a_census_counts_crowds_apart_and_warns_where_they_are_likely_objects() -> None:
    runs = {"size": [10, 20], "counts": [0, 200]}
    single = {"category_id": 1, "segmentation": [SQUARE]}
    crowd = {"category_id": 2, "iscrowd": 1, "segmentation": runs}
    base = {"images": [1, 2], "categories": [{"id": i, "name": n} for i, n in enumerate("abc")]}

    def counted(n_single: int, n_crowds: int, **more: Any) -> tuple[int, int, int]:
        census = take_census(
            {**base, "annotations": [single] * n_single + [{**crowd, **more}] * n_crowds}
        )
        return census.objects, census.crowds, len(census.warnings)

    assert counted(4, 0) == (4, 0, 0)
    assert counted(99, 1) == (99, 1, 1)  # category c has nothing else
    assert counted(99, 1, category_id=1) == (99, 1, 0)  # as in COCO
    assert counted(95, 10, category_id=1) == (95, 10, 0)  # a tenth of the others, not of all
    assert counted(9, 1, category_id=1) == (9, 1, 1)  # a tenth, and all run lengths are crowds
    assert counted(9, 1, category_id=1, segmentation=[SQUARE]) == (9, 1, 0)
    assert counted(0, 3) == (0, 3, 2)
    text = str(take_census({**base, "annotations": [single, crowd]}))
    assert text == (
        "2 images, 1 objects, 1 crowds (which take no part); 2 of 3 categories have none: a, c"
    )


def test_a_census_names_categories_and_shortens_long_lists() -> None:
    names = [{"id": i, "name": f"c{i}"} for i in range(9)]
    annotations = [
        {"category_id": 0},
        *({"category_id": i, "iscrowd": 1} for i in (1, 2, 2)),
    ]
    census = take_census({"images": [1], "categories": names, "annotations": annotations})
    assert (census.images, census.categories) == (1, 9)
    assert census.without == [f"c{i}" for i in range(1, 9)]
    assert census.warnings == ["categories that have only crowds: c1 (1), c2 (2)"]
    assert str(census) == (
        "1 images, 1 objects, 3 crowds (which take no part); "
        "8 of 9 categories have none: c1, c2, c3, c4, c5, … and 3 more"
    )
    seven = take_census(
        {"images": [], "categories": names[:7], "annotations": [{"category_id": 0}]}
    )
    assert str(seven).endswith("6 of 7 categories have none: c1, c2, c3, c4, c5, … and 1 more")
    five = take_census({"images": [], "categories": names[:6], "annotations": [{"category_id": 0}]})
    assert str(five).endswith("5 of 6 categories have none: c1, c2, c3, c4, c5")
    full = take_census({"images": [], "categories": names[:1], "annotations": [{"category_id": 0}]})
    assert str(full) == "0 images, 1 objects"


def test_a_single_object_as_run_lengths_shows_that_they_do_not_mean_crowds() -> None:
    runs = {"segmentation": {"size": [10, 20], "counts": [0, 200]}, "category_id": 1}
    base = {"images": [1], "categories": [{"id": 1, "name": "a"}]}
    crowds = [{**runs, "iscrowd": 1}, {**runs, "iscrowd": 1}]
    polygons = [{"category_id": 1, "segmentation": [SQUARE]}] * 8
    (warning,) = take_census({**base, "annotations": [*polygons, *crowds]}).warnings
    assert warning.startswith("all 2 masks as run lengths are crowds, 2 of 10 annotations")
    assert take_census({**base, "annotations": [*polygons, *crowds, runs]}).warnings == []
    assert take_census({**base, "annotations": [*polygons, runs, *crowds]}).warnings == []
    assert take_census({**base, "annotations": polygons}).warnings == []
