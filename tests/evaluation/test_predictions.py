"""Predictions from a file of any size, from records and from a store: the same, or refused."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ggn.core.coco import CocoError, read_json
from ggn.core.faults import Mends
from ggn.core.instances import Instances
from ggn.core.masks import encode
from ggn.evaluation import evaluate, evaluate_partitions, results_file
from ggn.evaluation.by_image import DetectionsByImage
from ggn.evaluation.columns import from_records
from ggn.evaluation.detections import NO_CATEGORY, Detections
from ggn.evaluation.image_records import Images
from ggn.evaluation.order import in_order
from ggn.evaluation.predictions import have_masks, read_predictions
from ggn.evaluation.records import PredictionCheck
from ggn.evaluation.results_file import Chunk, first_record, read_pieces
from ggn.evaluation.run_lengths import RunLengths

IMAGES = Images(frozenset({1, 2, 3}), dict.fromkeys((1, 2, 3), (4, 4)), {})
MASK = dict(encode(np.eye(4, dtype=bool)[None])[0])


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is cut after almost every record."""
    monkeypatch.setattr(results_file, "PIECE", 16)


def pieces_of(path: Path, text: str) -> list[Chunk]:
    path.write_text(text)
    return list(read_pieces(path))


def record(image_id: int = 1, score: float = 0.5, **others: Any) -> dict[str, Any]:
    return {"image_id": image_id, "score": score, "segmentation": MASK, **others}


# Pieces of a file


@pytest.mark.usefixtures("short_pieces")
def test_pieces_by_hand(tmp_path: Path) -> None:
    found = pieces_of(tmp_path / "a.json", '[ {"a": "},{"},\n{"b": [1,\n2]}, {"c": "\\"]"} ]\n')
    assert [piece.text for piece in found] == [
        b'[ {"a": "},{"}',
        b'\n{"b": [1,\n2]}',
        b' {"c": "\\"]"} ]\n',
    ]
    assert [piece.lines for piece in found] == [
        b' {"a": "},{"}',
        b' {"b": [1, 2]}',
        b' {"c": "\\"]"}   ',
    ]
    assert [(piece.start, piece.first, piece.is_last) for piece in found] == [
        (0, 0, False),
        (15, 1, False),
        (30, 2, True),
    ]


@pytest.mark.usefixtures("short_pieces")
def test_a_record_longer_than_a_piece_stays_whole(tmp_path: Path) -> None:
    text = json.dumps([{"a": "x" * 100}, *[{"b": 1}] * 40])
    found = pieces_of(tmp_path / "a.json", text)
    assert len(found) > 2
    assert b",".join(piece.text for piece in found) == text.encode()
    assert len(json.loads(found[0].text + b"]")[0]["a"]) == 100


BROKEN = [
    "", " ", "[", "[1", '[{"a": 1}', '[{"a": 1},', '[{"a": 1},]', '[{"a": 1} {"b": 2}]',
    '[{"a": 1},,{"b": 2}]', '[,{"a": 1}]', '[{"a": 1}] 5', '[{"a": 1}]]',
    '[{"a": 1},\n {"b": 01},\n {"c": 1}]', '[{"a": "\n"}]', '[{"a": [}]', '[{"é": 1}, {"b": ]}]',
    '[{"a": 1}, {"b": 2}, {"c": "d}]', "[}", '["a', "\ufeff[1", "[" * 100_000,
    '[{"a": 1},{"b": 2},' + '{"a":' * 100_000,
]  # fmt: skip


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_json_is_refused_as_if_it_were_read_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CocoError) as expected:
        read_json(path)
    with pytest.raises(CocoError) as refusal:
        evaluate({"images": [], "categories": [], "annotations": []}, path)
    assert str(refusal.value) == str(expected.value)


@pytest.mark.usefixtures("short_pieces")
def test_a_byte_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"image_id": 1}, {"image_id": 1}, {"a": "\xff"}]')
    with pytest.raises(CocoError, match="byte 42 is not UTF-8"):
        evaluate({"images": [], "categories": [], "annotations": []}, path)


@pytest.mark.usefixtures("short_pieces")
def test_every_nan_of_a_results_file_is_named_with_record_and_key(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '[{"image_id": 1, "score": NaN}, {"image_id": 1}, '
        '{"bbox": [1, Infinity]}, {"x": -Infinity}]'
    )
    with pytest.raises(CocoError) as refusal:
        evaluate({"images": [{"id": 1}], "categories": [], "annotations": []}, path)
    named = [fault for fault in refusal.value.faults if "valid JSON" in fault.reason]
    assert [f"{fault.where}: {fault.reason}" for fault in named] == [
        "predictions[0] (image_id 1): score is NaN, which is not valid JSON",
        "predictions[2]: bbox[1] is Infinity, which is not valid JSON",
        "predictions[3]: x is -Infinity, which is not valid JSON",
    ]
    others = {fault.where for fault in refusal.value.faults if fault not in named}
    assert others == {"predictions[1] (image_id 1)"}


MIXED = [
    {"image_id": 1, "score": 0.5, "bbox": [0, 0, 4, 4]},
    {"image_id": 1, "score": 0.4, "bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 4]]},
    {"image_id": 1, "score": 0.3, "bbox": [0, 0, 4, 4], "segmentation": []},
]


@pytest.mark.parametrize(
    ("records", "has_masks"),
    [
        ([], True),
        (MIXED[:1], False),
        (MIXED[:2], True),
        (MIXED[1::-1], True),
        ([MIXED[2], MIXED[0]], False),  # exporters write an empty list where they have no mask
        ([{**MIXED[0], "segmentation": None}], False),
        ([{**MIXED[0], "segmentation": [[]]}], False),
        ([*MIXED[:1] * 3, {**MIXED[0], "segmentation": {"size": [4, 4], "counts": "04"}}], True),
    ],
)
@pytest.mark.usefixtures("short_pieces")
def test_whether_there_are_masks_does_not_depend_on_the_order(
    tmp_path: Path, records: list[Any], has_masks: bool
) -> None:
    for layout in ({}, {"indent": 1}, {"separators": (",", ":")}):
        (tmp_path / "a.json").write_text(json.dumps(records, **layout))
        assert have_masks(tmp_path / "a.json") == has_masks


def test_a_packed_results_file_is_read_as_the_plain_one(tmp_path: Path) -> None:
    truth = {
        "images": [{"id": 1, "height": 8, "width": 8}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"image_id": 1, "category_id": 1, **MIXED[1]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(MIXED[1:]))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress((tmp_path / "a.json").read_bytes()))
    assert evaluate(truth, tmp_path / "a.json") == evaluate(truth, tmp_path / "a.json.gz")
    assert have_masks(tmp_path / "a.json.gz")


def test_first_record(tmp_path: Path) -> None:
    for text, expected in (("[]", None), ('[{"a": 1}, 2]', {"a": 1}), (" [7]", 7)):
        (tmp_path / "a.json").write_text(text)
        assert first_record(tmp_path / "a.json") == expected


# Records, whatever they hold, give the same columns and faults from a file as one by one

numbers = st.integers(-3, 5) | st.floats(-2, 5) | st.sampled_from([10**30, 2**60, 1e300])
odd: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.text(max_size=2) | numbers | st.just([]) | st.just({})
)
counts = st.just(MASK["counts"]) | st.sampled_from(["", "04000", "04l", "é", "\\"]) | odd
masks = st.fixed_dictionaries(
    {}, optional={"size": st.just([4, 4]) | odd | st.lists(odd, max_size=3), "counts": counts}
)
any_record = st.fixed_dictionaries(
    {"image_id": st.integers(1, 3) | odd, "score": st.floats(0, 1) | odd},
    optional={
        "category_id": st.integers(0, 3) | odd,
        "bbox": st.lists(st.floats(0, 3), min_size=4, max_size=4) | odd | st.lists(numbers),
        "segmentation": st.just(MASK) | masks | odd | st.just([[0, 0, 3, 0, 3, 3]]),
        "more": odd,
    },
)
usual = st.builds(
    record,
    st.integers(1, 3),
    st.floats(0, 1) | st.integers(0, 3),
    bbox=st.lists(st.floats(0, 3) | st.integers(0, 9), min_size=4, max_size=4),
    category_id=st.integers(-2, 3),
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(usual, max_size=5),
    st.lists(usual | any_record | odd, max_size=3),
    st.sampled_from([["segm"], ["bbox"], ["bbox", "segm"]]),
    st.sampled_from([None, 1]),
    st.sampled_from([16, 300, 10**6]),
)
def test_a_file_is_read_like_its_records(
    tmp_path: Path, usual: list[Any], others: list[Any], iou_types: Any, indent: Any, size: int
) -> None:
    path, records = tmp_path / "a.json", [*usual, *others]
    path.write_text(json.dumps(records, indent=indent))
    check = PredictionCheck("file", IMAGES, iou_types)
    try:
        expected, faults, mends = check.records(records, 0)
        columns = Detections.of(expected, with_masks=check.compares_masks)
    except OverflowError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results_file, "PIECE", size)
        parts = [piece.detections(check) for piece in read_pieces(path)]
    assert [str(fault) for _, found, _ in parts for fault in found] == [str(f) for f in faults]
    assert_equal([detections for detections, _, _ in parts], columns)
    joined = Mends()
    for _, _, some in parts:
        joined.join(some)
    assert joined == mends
    quick = from_records(records, with_masks=check.compares_masks)
    if quick is not None and check.are_sound(quick):
        assert faults == []
        assert mends == Mends()
        assert_equal([quick.detections], columns)


def assert_equal(parts: list[Detections], whole: Detections) -> None:
    for name in ("image_ids", "scores", "category_ids", "boxes_xywh"):
        got = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(got, getattr(whole, name))
    assert b"".join(part.masks.packed() for part in parts) == whole.masks.packed()


def test_usual_records_are_never_looked_at_one_by_one(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(PredictionCheck, "records", refuse)
    path = tmp_path / "a.json"
    boxed = {"image_id": 1, "score": 1, "bbox": [0, 0, 1, 2.5], "category_id": 3}
    with_mask = [record(), record(2, bbox=[0, 0, 1, 1])]
    with_box = [boxed, boxed | {"segmentation": [[1, 2]]}]
    for records, iou_types in ((with_mask, ["segm"]), (with_box, ["bbox"])):
        path.write_text(json.dumps(records, indent=2))
        check = PredictionCheck("file", IMAGES, iou_types)  # type: ignore[arg-type]
        (piece,) = read_pieces(path)
        detections, faults, mends = piece.detections(check)
        assert (len(detections), faults, mends) == (2, [], Mends())
        assert len(read_predictions(records, check)) == 2  # type: ignore[arg-type]


# By image


def numbered(image_ids: list[int], scores: list[float]) -> Detections:
    """Detections whose box begins at their number and whose mask is that number, written out."""
    places = range(len(image_ids))
    return Detections(
        np.array(image_ids, np.int64),
        np.array(scores, np.float64),
        np.full(len(image_ids), NO_CATEGORY),
        np.array([[place, 0, 1, 1] for place in places], np.float64).reshape(-1, 4),
        RunLengths.of([str(place) for place in places]),
    )


def read(collected: Any, image_id: int, most: int = 100) -> list[str]:
    """The masks of an image, best first."""
    (task,) = collected.by_image([image_id], most)
    detections = task()
    masks = detections.masks
    texts = [masks[slice(i, i + 1)].packed().decode() for i in range(len(masks))]
    assert detections.boxes_xywh[:, 0].tolist() == [float(text) for text in texts]
    return texts


def test_by_image_by_hand() -> None:
    collected = DetectionsByImage()
    collected.add(numbered([7, 5, 7, 5, 7], [0.1, 0.5, 0.9, 0.5, 0.9]))
    whole = collected.whole("here", Mends())
    assert read(whole, 7) == ["2", "4", "0"]
    assert read(whole, 5) == ["1", "3"]
    assert read(whole, 6) == []
    assert read(whole, 7, most=1) == ["2"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=300), st.integers(1, 100), st.integers(0, 9))
def test_any_order_comes_out_by_image(image_ids: list[int], size: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 5, len(image_ids)).tolist()
    everything, collected = numbered(image_ids, scores), DetectionsByImage()
    for first in range(0, len(image_ids), size):
        collected.add(everything[slice(first, first + size)])
    whole = collected.whole("here", Mends())
    for image_id in range(5):
        places = [place for place, id_ in enumerate(image_ids) if id_ == image_id]
        expected = sorted(places, key=lambda place: -scores[place])
        assert read(whole, image_id, 60) == [str(place) for place in expected[:60]]


# Tasks


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("together", [1, 3])
def test_results_keep_the_order_of_the_tasks(monkeypatch: Any, cores: int, together: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    def task(value: int) -> Callable[[], int]:
        return lambda: value if value != 50 else 1 // 0

    assert list(in_order(map(task, range(50)), together)) == list(range(50))
    with pytest.raises(ZeroDivisionError):
        list(in_order(map(task, range(100)), together))


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_numbers_do_not_depend_on_the_cores(scene: Any, monkeypatch: Any, cores: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scene.image()
        for name in ("seen", "unseen", "rare"):
            scene.objects(name, *rng.integers(10, 60, (2, 4)).tolist())
        scene.found(*rng.integers(10, 60, (40, 4)).tolist())
    partitions = {"unseen": ["unseen"], "all": None}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    expected = evaluate_partitions(scene.annotations, scene.predictions, partitions)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert evaluate_partitions(scene.annotations, scene.predictions, partitions) == expected


# Stores


def rows_of(scene: Any) -> Iterator[dict[str, Any]]:
    """The scene's detections as a store has them, worst first, so that the order is not given."""
    for image in scene.annotations["images"]:
        records = [r for r in scene.predictions if r["image_id"] == image["id"]][::-1]
        yield {
            "image_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "counts": [record["segmentation"]["counts"] for record in records],
            "scores": [record["score"] for record in records],
        }


def write_store(folder: Path, rows: list[dict[str, Any]], per_shard: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    strings, floats = pa.list_(pa.string()), pa.list_(pa.float32())
    types = [pa.int64(), pa.int32(), pa.int32(), strings, floats]
    schema = pa.schema(list(zip(rows[0], types, strict=True)))
    for index, first in enumerate(range(0, len(rows), per_shard)):
        table = pa.Table.from_pylist(rows[first : first + per_shard], schema=schema)
        pq.write_table(table, folder / f"shard-{index:05d}.parquet", write_page_checksum=True)
    return folder


@pytest.fixture
def stored(scene: Any) -> Any:
    rng = np.random.default_rng(1)
    for _ in range(4):
        scene.objects("unseen", *rng.integers(10, 60, (3, 4)).tolist())
        scene.found(*rng.integers(10, 60, (30, 4)).tolist())
        scene.image()
    for place, found in enumerate(scene.predictions):
        found["score"] = float(np.float32(1 - place / 1000))
    return scene


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_a_store_is_as_good_as_its_export(stored: Any, tmp_path: Path, iou_type: Any) -> None:
    exported = [
        result
        for row in rows_of(stored)
        for result in Instances(
            [{"size": [200, 200], "counts": c} for c in row["counts"]],
            np.array(row["scores"], np.float32),
            (200, 200),
        ).to_coco_results(row["image_id"])
    ]
    expected = evaluate(stored.annotations, exported, iou_type=iou_type)
    store = write_store(tmp_path / "store", list(rows_of(stored)))
    assert evaluate(stored.annotations, store, iou_type=iou_type) == expected
    assert 0 < expected["AR_100"] < 1


def changing(place: int, **values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[place].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changing(4, image_id=99), "store: image 99 is not an image of the annotations"),
        (changing(1, image_id=10), "store: image 10 comes after image 10"),
        (lambda rows: rows.pop(), "store: has no row for image 14 of the annotations"),
        (changing(2, height=100), r"image 12: masks are \(100, 200\) .* is \(200, 200\)"),
        (changing(2, scores=[1.0]), "image 12: must have a finite score for each mask"),
        (changing(2, scores=[np.nan] * 30), "image 12: must have a finite score for each mask"),
        (changing(2, counts=["0h1a"] * 30), "image 12: mask 0 has unsound run lengths: '0h1a'"),
    ],
)
def test_a_faulty_store_is_refused(stored: Any, tmp_path: Path, change: Any, message: str) -> None:
    rows = list(rows_of(stored))
    change(rows)
    with pytest.raises(ValueError, match=message) as refusal:
        evaluate(stored.annotations, write_store(tmp_path / "store", rows))
    assert str(tmp_path / "store") in str(refusal.value)


def test_a_damaged_store_is_refused(stored: Any, tmp_path: Path) -> None:
    with pytest.raises(CocoError, match="has no shards, so it is not a store"):
        evaluate(stored.annotations, tmp_path)
    store = write_store(tmp_path / "store", list(rows_of(stored)))
    shard = store / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(CocoError, match=r"shard-00001\.parquet: store: is damaged"):
        evaluate(stored.annotations, store)


def test_a_store_names_no_categories(stored: Any, tmp_path: Path) -> None:
    for image in stored.annotations["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    store = write_store(tmp_path / "store", list(rows_of(stored)))
    with pytest.raises(ValueError, match="protocol 'federated' compares categories, which a store"):
        evaluate(stored.annotations, store, protocol="federated")
