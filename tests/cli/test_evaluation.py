"""`ggn evaluate` and `ggn compare`, and what they say of malformed files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ggn.core.masks import from_segmentation

SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]
OTHER = [[20, 2, 30, 2, 30, 12, 20, 12]]
TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "one.png", "height": 40, "width": 40}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "kite"}],
    "annotations": [
        {"id": 5, "image_id": 1, "category_id": 1, "bbox": [20, 2, 10, 10], "segmentation": OTHER},
        {"id": 6, "image_id": 1, "category_id": 2, "bbox": [2, 2, 10, 10], "segmentation": SQUARE},
    ],
}
FOUND: list[dict[str, Any]] = [
    {"image_id": 1, "score": 0.9, "bbox": [2, 2, 10, 10], "segmentation": SQUARE}
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps(FOUND))
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 40), "grey").save(tmp_path / "images" / "one.png")
    return tmp_path


def test_evaluate_prints_the_protocol_and_writes_all_numbers(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "truth.json", "found.json", "--unseen", "kite", "--per-category")
    assert ggn(*words, "--json", "out/numbers.json", "--curve", "out/curve.png") == 0
    printed = capsys.readouterr().out
    assert printed.count("protocol budget") == 2
    for word in ("AR_1500", "AR_s_100", "unseen", "seen", "all", "kite", "1.000", "0.000", "0.500"):
        assert word in printed
    written = json.loads((files / "out/numbers.json").read_text())
    assert (written["protocol"], written["iou_type"]) == ("budget", "segm")
    assert {part: m["AR_100"] for part, m in written["metrics"].items()} == {
        "unseen": 1, "seen": 0, "all": 0.5,
    }  # fmt: skip
    assert written["category_AR_100"] == {"unseen": {"kite": [1, 1.0]}, "seen": {"cat": [1, 0.0]}}
    assert written["recall_curves"]["unseen"][0] == [10, 1.0]
    with Image.open(files / "out/curve.png") as picture:
        assert picture.width > 300


def test_evaluate_takes_boxes_where_there_are_no_masks(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [{key: value for key, value in FOUND[0].items() if key != "segmentation"}]
    (files / "found.json").write_text(json.dumps(boxes))
    assert ggn("evaluate", "truth.json", "found.json", "--protocol", "plain") == 0
    assert "boxes, protocol plain" in capsys.readouterr().out


def test_compare_shows_what_only_one_model_finds(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--annotations", "truth.json", "--images", "images", "--unseen", "2", "-o", "out")
    assert ggn("compare", "none.json", "found.json", *words) == 0
    printed = capsys.readouterr().out
    assert "protocol budget" in printed
    assert "both 0, only none 0, only found 1, neither 0" in printed
    written = json.loads((files / "out/comparison.json").read_text())
    assert written["metrics"]["found"]["unseen"]["AR_100"] == 1
    assert written["metrics"]["none"]["unseen"]["AR_100"] == 0
    assert {path.name for path in (files / "out").iterdir()} == {
        "comparison.json", "recall.png", "only_one.png",
    }  # fmt: skip
    assert written["intervals"]["difference"]["unseen"]["AR_100"] == [1, 1]
    assert written["intervals"]["metrics"]["none"]["all"]["AR_10"] == [0, 0]
    assert "+1.000 [1.000, 1.000]" in printed
    assert "AR_1500" not in printed, "no image has so many detections"
    assert ggn("compare", "found.json", "found.json", "--annotations", "truth.json") == 1


def test_evaluate_gives_intervals_when_asked(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "truth.json", "found.json", "--unseen", "kite", "--json", "n.json")
    assert ggn(*words) == 0
    assert "[" not in capsys.readouterr().out
    assert "intervals" not in json.loads((files / "n.json").read_text())
    assert ggn(*words, "--interval") == 0
    assert "0.500 [0.500, 0.500]" in capsys.readouterr().out, "one image leaves nothing unsure"
    written = json.loads((files / "n.json").read_text())["intervals"]
    assert (written["level"], written["resamples"], written["seed"]) == (0.95, 1000, 0)
    assert written["metrics"]["all"]["AR_100"] == [0.5, 0.5]


def test_a_store_is_taken_like_a_file(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    mask = from_segmentation(SQUARE, (40, 40))
    row = {"image_id": [1], "height": [40], "width": [40], "counts": [[mask["counts"]]]}
    (files / "store").mkdir()
    pq.write_table(pa.table(row | {"scores": [[0.9]]}), files / "store" / "shard-00000.parquet")
    assert ggn("evaluate", "truth.json", "store", "--unseen", "kite", "--json", "numbers.json") == 0
    assert "masks, protocol budget" in capsys.readouterr().out
    written = json.loads((files / "numbers.json").read_text())
    assert {part: m["AR_100"] for part, m in written["metrics"].items()} == {
        "unseen": 1, "seen": 0, "all": 0.5,
    }  # fmt: skip
    words = ("--annotations", "truth.json", "--images", "images", "--unseen", "2", "-o", "out")
    assert ggn("compare", "none.json", "store", *words) == 0
    assert "both 0, only none 0, only store 1, neither 0" in capsys.readouterr().out
    assert ggn("evaluate", "truth.json", "images") == 1
    assert "images: store: has no shards, so it is not a store" in capsys.readouterr().err


Change = Callable[[Any, Any], Any]


def put(place: str, key: str, value: Any) -> Change:
    """A change of the first record: of predictions, or of a section of the annotations."""

    def change(truth: Any, found: Any) -> None:
        record = found[0] if place == "predictions" else truth[place][0]
        record[key] = value

    return change


def drop(place: str, key: str) -> Change:
    def change(truth: Any, found: Any) -> None:
        record = found[0] if place == "predictions" else truth[place][0] if place else truth
        del record[key]

    return change


MALFORMED: list[tuple[Change, str]] = [
    (drop("", "images"), "truth.json: images: must be a list"),
    (drop("", "categories"), "truth.json: categories: must be a list"),
    (drop("", "annotations"), "truth.json: annotations: must be a list"),
    (put("images", "id", "one"), "id must be an integer"),
    (drop("images", "height"), "must have a height and width >= 1"),
    (put("images", "neg_category_ids", [1]), "not_exhaustive_category_ids must be a list"),
    (put("images", "not_exhaustive_category_ids", 3), "not_exhaustive_category_ids must be a list"),
    (lambda t, f: t["images"][0].update(neg_category_ids=[77], not_exhaustive_category_ids=[]),
     "neg_category_ids must hold ids of categories, got 77"),
    (lambda t, f: t["images"].append(t["images"][0]), "id 1 is already used"),
    (put("categories", "name", None), "name must be a string"),
    (put("categories", "id", None), "id must be an integer"),
    (put("annotations", "image_id", 99), "image_id must be the id of an annotated image, got 99"),
    (put("annotations", "category_id", 99), "category_id must be the id of a category, got 99"),
    (put("annotations", "iscrowd", 2), "iscrowd must be 0 or 1, got 2"),
    (put("annotations", "area", -1), "area must be a finite number >= 0"),
    (put("annotations", "segmentation", [[1, 2, 3]]), "segmentation"),
    (lambda t, f: t["annotations"].append(7), "annotations[2]: must be an object, got 7"),
    (drop("predictions", "score"), "predictions[0] (image_id 1): score must be a finite number"),
    (put("predictions", "score", "high"), "score must be a finite number, got 'high'"),
    (put("predictions", "score", True), "score must be a finite number, got True"),
    (put("predictions", "image_id", 2), "image_id must be the id of an annotated image, got 2"),
    (put("predictions", "category_id", "cat"), "category_id must be an integer from -92233720368"),
    (put("predictions", "bbox", [1, 2, 3]), "bbox must be 4 finite numbers"),
    (put("predictions", "bbox", [1, 2, -3, 4]), "bbox must have width and height >= 0"),
    (put("predictions", "bbox", "1234"), "bbox must be 4 finite numbers"),
    (put("predictions", "segmentation", {"size": [40, 40], "counts": "!!"}), "segmentation"),
    (put("predictions", "segmentation", {"size": [4, 4], "counts": "07"}), "segmentation"),
    (lambda t, f: f.append({"image_id": 1, "score": 1, "bbox": [0, 0, 1, 1]}),
     "predictions[1] (image_id 1): must have a segmentation"),
    (lambda t, f: f.append([1]), "predictions[1]: must be an object"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), MALFORMED, ids=[m for _, m in MALFORMED])
def test_malformed_records_are_named(
    change: Change,
    message: str,
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, found = copy.deepcopy(TRUTH), copy.deepcopy(FOUND)
    change(truth, found)
    (files / "truth.json").write_text(json.dumps(truth))
    (files / "found.json").write_text(json.dumps(found))
    assert ggn("evaluate", "truth.json", "found.json", "--json", "out.json") == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (files / "out.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("[1,", "not JSON"),
        ("[NaN]", "predictions[0]: is NaN, which is not valid JSON"),
        ('{"predictions": []}', "must be a list"),
        ("\ufeff[1,", "not JSON"),
        ("7", "must be a list, got 7"),
    ],
)
def test_malformed_files_are_named(
    content: str,
    message: str,
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (files / "found.json").write_text(content, encoding="utf-8")
    assert ggn("evaluate", "truth.json", "found.json") == 1
    printed = capsys.readouterr().err
    assert "found.json" in printed
    assert message in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--unseen", "nonvoc"), "partition 'nonvoc' needs categories that the dataset lacks"),
        (("--unseen", "dog"), "'dog'"),
        (("--unseen", ","), "--unseen must name a partition or categories"),
        (("--protocol", "coco"), "--protocol must be one of budget, federated, per_class, plain"),
        (("--protocol", "federated"), "needs neg_category_ids"),
        (("--iou-type", "mask"), "--iou-type must be one of bbox, segm, got 'mask'"),
    ],
)
def test_wrong_options_are_named(
    words: tuple[str, ...],
    message: str,
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ggn("evaluate", "truth.json", "found.json", *words) == 1
    assert message in capsys.readouterr().err


def evaluated(
    files: Path, ggn: Callable[..., int], truth: Any, found: Any, *words: str
) -> tuple[int, dict[str, Any]]:
    """The exit status, and the numbers that were written."""
    (files / "truth.json").write_text(json.dumps(truth))
    (files / "found.json").write_text(json.dumps(found))
    (files / "out.json").unlink(missing_ok=True)
    status = ggn("evaluate", "truth.json", "found.json", "--json", "out.json", *words)
    written = files / "out.json"
    return status, json.loads(written.read_text()) if written.exists() else {}


MENDED: list[tuple[str, dict[str, Any]]] = [
    ("iscrowd given as true, false, null or 0.0", {"iscrowd": None}),
    ("iscrowd given as true, false, null or 0.0", {"iscrowd": False}),
    ("area or bbox missing, taken from the mask", {"area": None}),
    ("area or bbox missing, taken from the mask", {"bbox": None}),
    (
        "polygons of one or two points beside others, left out",
        {"segmentation": [*OTHER, [1, 1, 2, 2]]},
    ),
    (
        "polygons that reach outside their image, cut off at its border",
        {"segmentation": [[30, 2, 70, 2, 70, 12, 30, 12]], "bbox": [30, 2, 10, 10]},
    ),
]


@pytest.mark.parametrize(("kind", "change"), MENDED)
def test_what_is_mended_in_reading_is_counted_by_kind_and_refused_by_strict(
    kind: str,
    change: dict[str, Any],
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `ggn check` and `prepare` do; what COCO itself would write is no matter."""
    truth = copy.deepcopy(TRUTH)
    for annotation in truth["annotations"]:
        annotation["area"] = 100
    whole = evaluated(files, ggn, truth, FOUND)
    assert "mended" not in capsys.readouterr().err
    assert evaluated(files, ggn, truth, FOUND, "--strict") == whole
    truth["annotations"][0] |= change
    place = "annotations[0] (id 5, image_id 1)"
    assert evaluated(files, ggn, truth, FOUND)[0] == 0
    said = capsys.readouterr().err
    assert f"truth.json: mended in reading: 1 {kind}, first {place}" in said
    assert said.count("mended") == 1
    assert evaluated(files, ggn, truth, FOUND, "--strict")[0] == 1
    assert f"truth.json: {place}: is mended in reading: {kind}" in capsys.readouterr().err


REACHES_OUT = [[-9, 2, 12, 2, 12, 12, -9, 12]]
MENDED_PREDICTIONS: list[tuple[str, list[Any]]] = [
    ("masks without a polygon of three points, counted as detections of nothing", []),
    ("masks without a polygon of three points, counted as detections of nothing", [[]]),
    ("masks without a polygon of three points, counted as detections of nothing", [[3, 3, 9, 9]]),
    ("polygons of one or two points beside others, left out", [*SQUARE, [1, 1]]),
    ("polygons that reach outside their image, cut off at its border", REACHES_OUT),
]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_mended_and_refused_by_strict(
    encoding: str, files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "truth.json", "found.json", "--json", "out.json")
    assert ggn(*words) == 0
    plain = (files / "out.json").read_text()
    for name in ("truth.json", "found.json"):
        (files / name).write_text((files / name).read_text(), encoding)
    capsys.readouterr()
    assert ggn(*words) == 0
    said = capsys.readouterr().err
    for name in ("truth.json", "found.json"):
        assert f"{name}: mended in reading: 1 byte order mark before the JSON, skipped" in said
    assert (files / "out.json").read_text() == plain
    assert ggn(*words, "--strict") == 1
    assert "truth.json: not JSON: starts with a byte order mark" in capsys.readouterr().err
    whole = {**TRUTH, "annotations": [{**a, "area": 100} for a in TRUTH["annotations"]]}
    (files / "truth.json").write_text(json.dumps(whole))
    assert ggn(*words, "--strict") == 1
    assert "found.json: not JSON: starts with a byte order mark" in capsys.readouterr().err


@pytest.mark.parametrize("has_box", [True, False])
@pytest.mark.parametrize(("kind", "mask"), MENDED_PREDICTIONS)
def test_predictions_that_are_mended_in_reading_are_counted_by_kind_and_refused_by_strict(
    kind: str,
    mask: list[Any],
    has_box: bool,
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd: dict[str, Any] = {"image_id": 1, "score": 0.5, "segmentation": mask}
    odd |= {"bbox": [2, 2, 10, 10]} if has_box else {}
    found = [*FOUND, odd, *FOUND, odd]
    truth = {**TRUTH, "annotations": [{**a, "area": 100} for a in TRUTH["annotations"]]}
    assert evaluated(files, ggn, truth, found)[0] == 0
    said = capsys.readouterr().err
    assert f"found.json: mended in reading: 2 {kind}, first predictions[1] (image_id 1)" in said
    assert said.count("found.json: mended") == 1
    assert evaluated(files, ggn, truth, found, "--strict")[0] == 1
    said = capsys.readouterr().err
    for index in (1, 3):
        place = f"predictions[{index}] (image_id 1)"
        assert f"found.json: {place}: is mended in reading: {kind}" in said


def test_compare_counts_what_is_mended_in_both_files(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in (("a", 1), ("b", 3)):
        odd = [FOUND[0] | {"segmentation": REACHES_OUT}] * count
        (files / f"{name}.json").write_text(json.dumps([*FOUND, *odd]))
    words = ("compare", "a.json", "b.json", "--annotations", "truth.json", "-o", "out")
    assert ggn(*words) == 0
    said = capsys.readouterr().err
    assert "a.json: mended in reading: 1 polygons that reach outside" in said
    assert "b.json: mended in reading: 3 polygons that reach outside" in said
    assert ggn(*words, "--strict") == 1


CORNERS: list[Any] = [
    ([20, 2, 30, 12], "bbox looks like x1, y1, x2, y2"),
    ([0.5, 0.05, 0.25, 0.25], "bbox looks like shares of 1"),
    ([25, 7, 10, 10], "bbox looks like centre x, centre y, width, height"),
]


@pytest.mark.parametrize(("bbox", "meaning"), CORNERS)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_objects_that_contradict_themselves_are_said_and_refused_by_strict(
    bbox: list[float],
    meaning: str,
    iou_type: str,
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = copy.deepcopy(TRUTH)
    truth["annotations"][0]["bbox"] = bbox
    words = ("--iou-type", iou_type)
    assert evaluated(files, ggn, truth, FOUND, *words)[0] == 0
    said = capsys.readouterr().err
    assert f"annotations[0] (id 5, image_id 1): bbox {[float(v) for v in bbox]}" in said
    assert meaning in said
    assert "1 objects contradict themselves" in said
    assert evaluated(files, ggn, truth, FOUND, *words, "--strict") == (1, {})
    assert meaning in capsys.readouterr().err
    truth = copy.deepcopy(TRUTH)
    for annotation in truth["annotations"]:
        annotation["area"] = 100
    assert evaluated(files, ggn, truth, FOUND, *words, "--strict")[0] == 0
    assert "warning" not in capsys.readouterr().err


BOX = {"image_id": 1, "score": 0.5, "bbox": [20, 2, 10, 10]}


@pytest.mark.parametrize("first", [FOUND[0], BOX])
def test_masks_and_boxes_in_one_file_are_refused_in_any_order(
    first: Any, files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    found = [first, BOX if first is FOUND[0] else FOUND[0]]
    assert evaluated(files, ggn, TRUTH, found) == (1, {})
    assert "must have a segmentation, because iou_types are ['segm']" in capsys.readouterr().err
    status, written = evaluated(files, ggn, TRUTH, found, "--iou-type", "bbox")
    assert (status, written["metrics"]["all"]["AR_100"]) == (0, 1)


@pytest.mark.parametrize("nothing", [[], [[]], [[3, 3]], [[3, 3, 4, 4]], [[], [1, 2]]])
def test_an_empty_predicted_mask_is_a_detection_of_nothing(
    nothing: Any, files: Path, ggn: Callable[..., int]
) -> None:
    """It keeps its place: under `budget` with k = 1 the object behind it is not found."""
    found = [{**BOX, "score": 0.99, "segmentation": nothing}, FOUND[0]]
    status, written = evaluated(files, ggn, TRUTH, found)
    assert (status, written["iou_type"], written["metrics"]["all"]["AR_100"]) == (0, "segm", 0.5)
    assert (
        written["metrics"]["all"]["AP_50"]
        < evaluated(files, ggn, TRUTH, FOUND)[1]["metrics"]["all"]["AP_50"]
    )


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("iscrowd", False),
        ("iscrowd", None),
        ("area", None),
        ("bbox", None),
        ("bbox", []),
        ("id", 2**100),
        ("id", 5),
        ("id", "a"),
        ("segmentation", [*SQUARE, [4, 4]]),
        ("segmentation", [*SQUARE, [4, 4, 5, 5]]),
    ],
)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_what_tools_write_otherwise_gives_the_same_numbers(
    change: str, value: Any, iou_type: str, files: Path, ggn: Callable[..., int]
) -> None:
    truth = copy.deepcopy(TRUTH)
    truth["annotations"][1][change] = value
    words = ("--unseen", "kite", "--iou-type", iou_type)
    expected = evaluated(files, ggn, TRUTH, FOUND, *words)
    assert expected[1]["metrics"]["unseen"]["AR_100"] == 1
    assert evaluated(files, ggn, truth, FOUND, *words) == expected


def test_a_crowd_as_true_is_a_crowd(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    truth = copy.deepcopy(TRUTH)
    truth["annotations"][1]["iscrowd"] = True
    assert evaluated(files, ggn, truth, FOUND)[1]["metrics"]["all"]["AR_100"] == 0
    assert "1 of 2 annotations are crowds" in capsys.readouterr().err
    assert evaluated(files, ggn, truth, FOUND, "--unseen", "kite") == (1, {})
    said = capsys.readouterr().err
    assert "has no object of the unseen categories but 1 crowds" in said


def test_nothing_to_find_is_refused(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    truth = {**TRUTH, "categories": [*TRUTH["categories"], {"id": 3, "name": "cup"}]}
    for words in (("--unseen", "cup"), ("--unseen", "id:3")):
        assert evaluated(files, ggn, truth, FOUND, *words) == (1, {})
        assert "has no object of the unseen categories" in capsys.readouterr().err
    assert evaluated(files, ggn, {**TRUTH, "annotations": []}, FOUND) == (1, {})
    assert "has no object; there is nothing to measure" in capsys.readouterr().err


def test_objects_and_images_listed_twice_are_counted(
    files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    truth = copy.deepcopy(TRUTH)
    truth["annotations"].append({**truth["annotations"][1], "id": 9})
    truth["images"].append({**truth["images"][0], "id": 2})
    status, written = evaluated(files, ggn, truth, FOUND, "--unseen", "kite")
    assert (status, written["metrics"]["unseen"]["AR_100"]) == (0, 0.5)
    said = capsys.readouterr().err
    assert "1 objects are listed more than once" in said
    assert "1 images are listed more than once" in said


@pytest.mark.parametrize("ids", [(5, 5), (None, None), (2**70, 2**70), ("a", 7)])
def test_compare_addresses_objects_by_place_and_not_by_id(
    ids: Any, files: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    truth = copy.deepcopy(TRUTH)
    for annotation, id_ in zip(truth["annotations"], ids, strict=True):
        annotation["id"] = id_
    (files / "truth.json").write_text(json.dumps(truth))
    words = ("--annotations", "truth.json", "--images", "images", "-o", "out")
    assert ggn("compare", "none.json", "found.json", *words) == 0
    assert "both 0, only none 0, only found 1, neither 1" in capsys.readouterr().out
    with Image.open(files / "out/only_one.png") as picture:
        picture.load()


@pytest.mark.parametrize("names", [("kite", "kite"), ("kite", "cat"), ("a,b", "a")])
def test_categories_of_one_name_are_told_by_their_ids(
    names: tuple[str, str],
    files: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = {**TRUTH, "categories": [{"id": i, "name": n} for i, n in enumerate(names, 1)]}
    status, written = evaluated(files, ggn, truth, FOUND, "--unseen", "id:2", "--per-category")
    assert (status, written["metrics"]["unseen"]["AR_100"]) == (0, 1)
    assert sum(len(part) for part in written["category_AR_100"].values()) == 2
    if names[0] == names[1]:
        assert list(written["category_AR_100"]["unseen"]) == ["kite (id 2)"]
        assert evaluated(files, ggn, truth, FOUND, "--unseen", "kite") == (1, {})
        assert "may mean the category 1 'kite' (say id:1) or" in capsys.readouterr().err
    else:
        word = names[0] + "," + names[1]
        assert evaluated(files, ggn, truth, FOUND, "--unseen", word)[0] == 0
