"""An object listed twice is one, whatever program drew it, and neighbours are two."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ggn.core import likeness
from ggn.core.likeness import are_same, near_boxes, same_objects
from ggn.core.masks import area_and_box, decode, encode, from_runs, from_segmentation
from ggn.core.mending import mend

SIZE_HW = (60, 80)
STAR = [10.3, 12.1, 34.8, 8.2, 52.4, 20.9, 47.7, 41.3, 26.2, 50.6, 12.9, 36.4]
SQUARE = [60, 10, 72, 10, 72, 22, 60, 22]


def filled(polygon: list[float]) -> Any:
    """The mask of a program that fills the outline, too."""
    image = Image.new("L", SIZE_HW[::-1])
    ImageDraw.Draw(image).polygon(polygon, fill=1)
    return encode(np.asarray(image)[None])[0]


def annotation(id_: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    mask = from_segmentation(segmentation, SIZE_HW)
    record = {"id": id_, "image_id": 1, "category_id": 1, "iscrowd": 0} | area_and_box(mask)
    return {**record, "segmentation": segmentation, **more}


def dataset(*annotations: dict[str, Any]) -> dict[str, Any]:
    height, width = SIZE_HW
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": width, "height": height}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "bowl"}],
        "annotations": list(annotations),
    }


def runs(polygon: list[float]) -> dict[str, Any]:
    """A polygon's mask, as uncompressed run lengths."""
    bitmap = decode([from_segmentation([polygon], SIZE_HW)], SIZE_HW)[0].T.ravel()
    change = np.flatnonzero(np.diff(np.concatenate([[0], bitmap, [1 - bitmap[-1]]])))
    return {"size": [*SIZE_HW], "counts": np.diff(np.concatenate([[0], change])).tolist()}


SAME = {
    "compressed run lengths": lambda: dict(from_segmentation([STAR], SIZE_HW)),
    "run lengths": lambda: runs(STAR),
    "rounded": lambda: [[round(value) for value in STAR]],
    "begun elsewhere": lambda: [STAR[4:] + STAR[:4]],
    "backwards": lambda: [[v for i in range(10, -2, -2) for v in STAR[i : i + 2]]],
    "closed": lambda: [STAR + STAR[:2]],
    "with its outline": lambda: dict(filled(STAR)),
}
OTHER = {
    "half of it": [STAR[:6]],
    "moved by four pixels": [[value + 4 for value in STAR]],
    "inside it, in the same box": [[10.3, 12.1, 52.4, 20.9, 26.2, 50.6]],
    "elsewhere": [SQUARE],
}


@pytest.mark.parametrize("how", SAME)
def test_the_same_object_in_another_spelling_is_a_duplicate(how: str) -> None:
    given = dataset(annotation(1, [STAR]), annotation(2, [SQUARE]), annotation(3, SAME[how]()))
    done = mend(given, "x.json")
    assert (done.faults, done.dataset) == ([], given)
    assert [str(fault) for fault in done.repeated] == [
        "x.json: annotations[2] (id 3): is the same object as annotations[0], drawn in another way"
    ]
    dropped = mend(given, "x.json", drop=True)
    assert [a["id"] for a in dropped.dataset["annotations"]] == [1, 2]
    assert (dropped.dropped, dropped.dropped_share) == ({"repeated": 1}, 0)
    assert [fault.kind for fault in mend(given, "x.json", strict=True).faults] == ["repeated"]


@pytest.mark.parametrize("how", OTHER)
def test_other_objects_are_not_duplicates(how: str) -> None:
    given = dataset(annotation(1, [STAR]), annotation(2, OTHER[how]))
    assert mend(given, "x.json").repeated == []


@pytest.mark.parametrize("how", SAME)
def test_in_another_category_it_is_named_and_stays(how: str) -> None:
    given = dataset(annotation(1, [STAR]), annotation(2, SAME[how](), category_id=2))
    done = mend(given, "x.json", drop=True)
    (fault,) = done.repeated
    assert fault.kind == "relabelled"
    assert fault.reason.endswith("annotations[0], drawn in another way, in the category 1")
    assert len(done.dataset["annotations"]) == 2


def test_a_crowd_is_not_the_object_below_it() -> None:
    given = dataset(annotation(1, [STAR]), annotation(2, runs(STAR), iscrowd=1))
    assert mend(given, "x.json").repeated == []
    crowds = [annotation(i, it, iscrowd=1) for i, it in enumerate(([STAR], runs(STAR)), 1)]
    assert [f.kind for f in mend(dataset(*crowds), "x.json").repeated] == ["repeated"]
    crowds[1]["category_id"] = 2
    assert mend(dataset(*crowds), "x.json").repeated == []


def test_of_three_the_first_stays_and_of_an_image_under_two_ids_too() -> None:
    thrice = [annotation(1, [STAR]), annotation(2, runs(STAR)), annotation(3, SAME["closed"]())]
    given = dataset(*thrice)
    assert [a["id"] for a in mend(given, "x.json", drop=True).dataset["annotations"]] == [1]
    twice = dataset(annotation(1, [STAR]), annotation(2, runs(STAR), image_id=2))
    twice["images"].append({**twice["images"][0], "id": 2, "file_name": "./a.png"})
    dropped = mend(twice, "x.json", drop=True).dataset
    assert [(a["id"], a["image_id"]) for a in dropped["annotations"]] == [(1, 1)]
    assert [image["id"] for image in dropped["images"]] == [1]


def test_a_missing_box_is_that_of_the_mask() -> None:
    bare = annotation(2, runs(STAR))
    del bare["bbox"]
    assert len(mend(dataset(annotation(1, [STAR]), bare), "x.json").repeated) == 1


def test_masks_that_differ_by_a_border_are_the_same_only_if_one_contains_the_other() -> None:
    def square(x: int, y: int, side: int) -> Any:
        bitmap = np.zeros((1, *SIZE_HW), np.uint8)
        bitmap[0, y : y + side, x : x + side] = 1
        return encode(bitmap)[0]

    twelve = square(10, 10, 12)
    assert are_same(twelve, square(10, 10, 13)), "IoU 0.85, a border on two sides"
    assert not are_same(twelve, square(11, 11, 12)), "IoU 0.72"
    assert not are_same(twelve, square(10, 11, 12)), "IoU 0.85, but moved"
    assert not are_same(twelve, square(9, 9, 14)), "IoU 0.73"
    assert are_same(square(0, 0, 40), square(0, 0, 41)), "IoU 0.952"
    assert not are_same(square(0, 0, 50), square(2, 2, 46)), "IoU 0.846, a border of two pixels"


def test_near_boxes_are_those_of_brute_force() -> None:
    random = np.random.default_rng(0)
    image_ids = random.integers(0, 5, 400) * 2**60
    boxes = random.integers(0, 12, (400, 4)).astype(np.float64)
    edges = boxes + np.concatenate([np.zeros((400, 2)), boxes[:, :2]], axis=1)
    expected = [
        (later, earlier)
        for later in range(400)
        for earlier in range(later)
        if image_ids[later] == image_ids[earlier]
        and (np.abs(edges[later] - edges[earlier]) <= 2).all()
    ]
    assert len(expected) > 100
    assert near_boxes(image_ids, boxes) == expected


def test_many_objects_in_one_place_cost_no_more_than_a_few_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """400 different objects in the same box would be 79,800 pairs of masks."""
    compared = []
    monkeypatch.setattr(likeness, "are_same", lambda *masks: bool(compared.append(masks)))
    objects = [annotation(index, [STAR]) for index in range(400)]
    assert list(same_objects(objects, {1: SIZE_HW})) == []
    assert 400 < len(compared) <= 400 * 8


def test_an_empty_list_and_objects_without_boxes_or_images_are_not_compared() -> None:
    assert list(same_objects([], {})) == []
    mask = dict(from_runs([0, 4], (2, 2)))
    objects = [{"image_id": i, "category_id": 1, "segmentation": mask} for i in (1, 1, 2)]
    assert list(same_objects([*objects, None], {1: (2, 2)})) == []
