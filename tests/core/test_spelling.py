"""Values in another form than COCO's are read where their meaning is certain, and only there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ggn.core.masks import encode
from ggn.core.spelling import NAMES, NUMBERS, POLYGONS, RUNS, respell, respelt
from ggn.evaluation.inputs import read_inputs
from ggn.evaluation.predictions import have_masks

RLE = {"size": [20, 30], "counts": "Z1::00V;"}
TRIANGLE, SQUARE = [1, 2, 5, 2, 5, 6], [2, 2, 6, 2, 6, 6, 2, 6]


CERTAIN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"id": "12", "image_id": 3.0}, {"id": 12, "image_id": 3}, NUMBERS),
    ({"category_id": "-1"}, {"category_id": -1}, NUMBERS),
    ({"width": 30.0, "height": "20"}, {"width": 30, "height": 20}, NUMBERS),
    ({"iscrowd": "0"}, {"iscrowd": 0}, NUMBERS),
    ({"score": "0.5", "area": "1e3"}, {"score": 0.5, "area": 1000.0}, NUMBERS),
    ({"bbox": ["1", 2, "3.5", 4]}, {"bbox": [1, 2, 3.5, 4]}, NUMBERS),
    ({"name": 7}, {"name": "7"}, NAMES),
    ({"segmentation": TRIANGLE}, {"segmentation": [TRIANGLE]}, POLYGONS),
    ({"segmentation": [[1, 2], [5, 2], [5, 6]]}, {"segmentation": [TRIANGLE]}, POLYGONS),
    ({"segmentation": [[[1, 2], [5, 2], [5, 6]]]}, {"segmentation": [TRIANGLE]}, POLYGONS),
    ({"segmentation": [RLE]}, {"segmentation": RLE}, RUNS),
    ({"segmentation": {**RLE, "size": [20.0, "30"]}}, {"segmentation": RLE}, RUNS),
    (
        {"segmentation": {**RLE, "counts": str(b"Z1\\`00")}},
        {"segmentation": {**RLE, "counts": "Z1\\`00"}},
        RUNS,
    ),
]


@pytest.mark.parametrize(("record", "changes", "kind"), CERTAIN)
def test_the_meaning_is_certain(record: Any, changes: Any, kind: str) -> None:
    assert respelt(record) == (changes, [kind])


@pytest.mark.parametrize(("record", "changes", "kind"), CERTAIN)
def test_no_annotation_passes_as_usual_that_is_not(record: Any, changes: Any, kind: str) -> None:
    if "width" in record:  # of an image
        return
    usual = {
        "id": 1, "image_id": 2, "category_id": 3, "iscrowd": 0, "area": 16, "bbox": [2, 2, 4, 4],
        "segmentation": [SQUARE],
    }  # fmt: skip
    noted: list[str] = []
    given = {"annotations": [usual, {**usual, **record}]}
    done = respell(given, lambda _section, _index, kind: noted.append(kind))
    assert (done["annotations"], noted) == ([usual, {**usual, **record, **changes}], [kind])


@pytest.mark.parametrize(
    "record",
    [
        {"id": "6f1c", "image_id": 3.5, "category_id": True, "width": None, "height": ""},
        {"id": "1" * 20, "image_id": float(2**60), "category_id": " 1", "width": "0x10"},
        {"iscrowd": 0.0, "area": "large", "score": "nan", "bbox": ["1", "", "3", "4"]},
        {"iscrowd": True, "bbox": "1234", "name": None, "segmentation": None},
        {"segmentation": []},
        {"segmentation": [[]]},
        {"segmentation": [1, 2, 3, 4]},
        {"segmentation": [1, 2, 3, 4, 5, "6"]},
        {"segmentation": [[3, 3], SQUARE]},
        {"segmentation": [[[1, 2], [5, 2], [5, 6]], SQUARE]},
        {"segmentation": [RLE, RLE]},
        {"segmentation": {"size": [20.5, 30], "counts": "b"}},
        {"segmentation": RLE, "id": 1, "image_id": 2, "bbox": [1.5, 2, 3, 4], "area": 0.5},
        "no record",
    ],
)
def test_anything_else_stays_as_it_is(record: Any) -> None:
    assert respelt(record) == ({}, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
KEYS = ["id", "image_id", "width", "iscrowd", "area", "bbox", "name", "segmentation"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_record_is_read_and_stays_so_when_read_again(record: Any) -> None:
    before = json.dumps(record)
    changes, kinds = respelt(record)
    assert bool(changes) == bool(kinds)
    assert json.dumps(record) == before
    assert not set(respelt({**record, **changes})[1]) - {RUNS, POLYGONS}


def test_a_dataset_in_the_form_of_coco_stays_the_very_same() -> None:
    noted: list[Any] = []
    dataset = {"images": [{"id": 1}], "categories": None, "annotations": ["odd", {"id": "3"}]}
    assert respell(usual := {"images": [{"id": 1}]}, print) is usual
    changed = respell(dataset, lambda *what: noted.append(what))
    assert noted == [("annotations", 1, NUMBERS)]
    assert changed["images"] is dataset["images"]
    assert (changed["annotations"], dataset["annotations"][1]) == (["odd", {"id": 3}], {"id": "3"})


def test_results_in_another_form_are_measured_and_counted(tmp_path: Any) -> None:
    bitmap = np.zeros((1, 20, 30), bool)
    bitmap[:, 2:6, 2:6] = True
    mask = dict(encode(bitmap)[0])
    truth = {
        "images": [{"id": "7", "width": 30, "height": 20}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {
                "image_id": 7,
                "category_id": "1",
                "segmentation": SQUARE,
                "bbox": [2, 2, 4, 4],
                "area": 16,
            }
        ],
    }
    forms = [SQUARE, [[[2, 2], [6, 2], [6, 6], [2, 6]]], [mask], {**mask, "size": [20.0, 30.0]}]
    for form in forms:
        found = tmp_path / "found.json"
        found.write_text(json.dumps([{"image_id": "7", "score": "0.5", "segmentation": form}]))
        assert have_masks(found)
        inputs = read_inputs(truth, found, ["segm"])
        assert sorted(inputs.mends.counts) == sorted([NUMBERS, POLYGONS])
        assert inputs.mends.counts[NUMBERS] == 2  # the image and the object
        assert inputs.predictions.mends.counts[NUMBERS] == 1
        (arrays,) = (read() for read in inputs.arrays("segm", 100))
        assert arrays.iou.tolist() == [[1.0]]
        with pytest.raises(ValueError, match=r"must be an integer|category_id must be"):
            read_inputs(truth, found, ["segm"], strict=True)
