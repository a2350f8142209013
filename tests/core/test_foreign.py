"""A file of a tool's own format, or of another kind, is called what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ggn.core.coco import CocoError
from ggn.core.foreign import looks_like
from ggn.data.check import check_dataset
from ggn.evaluation.inputs import read_inputs

FOREIGN = {
    "labelme's own format: export it as COCO": {
        "version": "5.2", "shapes": [], "imagePath": "a.jpg", "imageHeight": 4, "imageWidth": 4,
    },
    "VIA's own format: export it as COCO": {"_via_settings": {}, "_via_img_metadata": {}},
    "VoTT's own format: export it as COCO": {"name": "x", "assets": {}, "tags": []},
    "SA-1B's own format: export it as COCO": {"image": {"image_id": 1}, "annotations": []},
    "Label Studio's own format: export it as COCO": [{"id": 1, "data": {}, "annotations": []}],
    "CreateML's format: export it as COCO": [{"image": "a.jpg", "annotations": []}],
    "results of a detector": [{"image_id": 1, "category_id": 1, "score": 0.5}],
    "the list `annotations` alone, without images and categories": [
        {"id": 1, "image_id": 1, "category_id": 1}
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), FOREIGN.items(), ids=range(len(FOREIGN)))
def test_annotations_in_another_format_are_called_so(
    tmp_path: Path, name: str, content: Any
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert check_dataset(path).faults[0].reason.endswith(f"; it looks like {name}")
    with pytest.raises(CocoError, match="it looks like") as refusal:
        read_inputs(path, [], ["bbox"])
    assert str(refusal.value).endswith(f"; it looks like {name}")


def test_more_formats_are_called_what_they_are() -> None:
    via = {"a.jpg12": {"filename": "a.jpg", "size": 12, "regions": []}}
    assert looks_like(via) == "; it looks like VIA's own format: export it as COCO"
    one = {"labels": [0], "scores": [0.5], "bboxes": [[1, 2, 3, 4]], "masks": []}
    assert looks_like(one).startswith("; it looks like mmdetection's predictions for one image")


def test_panoptic_annotations_are_one_fault(tmp_path: Path) -> None:
    record = {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 7, "category_id": 1}]}
    image = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}
    content = {"images": [image], "categories": [{"id": 1, "name": "a"}], "annotations": [record]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (fault,) = check_dataset(tmp_path / "a.json").faults
    assert "COCO's panoptic format" in fault.reason
    with pytest.raises(CocoError, match="COCO's panoptic format"):
        read_inputs(tmp_path / "a.json", [], ["bbox"])


@pytest.mark.parametrize("content", [{}, [], [1], None, {"images": []}, [{"a": 1}], {"shapes": 1}])
def test_nothing_is_guessed_of_other_files(content: Any) -> None:
    assert looks_like(content) == ""


def test_xml_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("<?xml version='1.0'?>\n<annotations/>")
    (fault,) = check_dataset(path).faults
    assert fault.reason == "is XML, as CVAT and Pascal VOC write it; export it as COCO"


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (
            {"info": {}, "annotations": [{"image_id": 1}]},
            "; save the list under 'annotations' alone",
        ),
        ({"7": [{"image_id": 7, "score": 1}]}, "; save the list under '7' alone"),
        ({"images": [], "annotations": []}, "}"),
        ({"shapes": [], "imagePath": "a"}, "it looks like labelme's own format: export it as COCO"),
    ],
)
def test_results_in_an_object_are_found(tmp_path: Path, content: Any, end: str) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    truth = {"images": [], "categories": [], "annotations": []}
    with pytest.raises(CocoError, match=r"predictions: must be a list, got \{") as refusal:
        read_inputs(truth, path, ["bbox"])
    assert str(refusal.value).endswith(end)
