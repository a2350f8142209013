"""Reading is strict, writing is atomic, dropping is counted."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggn.core import coco
from ggn.core.coco import (
    CocoError,
    annotations_by_image,
    drop_faulty,
    has_byte_order_mark,
    read_coco,
    read_json,
    write_json,
)


@pytest.fixture
def dataset(tiny_coco: Path) -> Any:
    return read_coco(tiny_coco / "annotations/instances_train2017.json")


def test_read_json_inverts_write_json(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True], "ü": "名"}
    write_json(tmp_path / "new/folder/x.json", content)
    assert read_json(tmp_path / "new/folder/x.json") == content
    write_json(tmp_path / "y.json", content, indent=2)
    assert (tmp_path / "y.json").read_text().startswith('{\n  "a"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "y.json"]


@pytest.mark.parametrize(
    "content",
    [
        *({}, [], {"a": []}, {"a": {}, "b": [[], {}]}, {1: [2]}, [1] * 5, "é", 1.5, None, (1, [2])),
        {
            "images": [{"id": i, "n": "é"} for i in range(5)],
            "info": {"x": [1, 2, 3]},
            "b": [[]] * 4,
        },
    ],
)
def test_json_written_in_parts_is_json_written_at_once(
    tmp_path: Path, content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "_WRITTEN", 2)
    write_json(tmp_path / "x.json", content)
    expected = json.dumps(content, separators=(",", ":")) + "\n"
    assert (tmp_path / "x.json").read_text("utf-8") == expected


def test_equal_coordinates_of_a_file_share_one_number(tmp_path: Path) -> None:
    """A dataset is mostly coordinates: each costs 8 bytes in its list, not 32."""
    written = [round(x / 100, 2) for x in range(100, 900)]
    (tmp_path / "x.json").write_text(json.dumps([written] * 50))
    tracemalloc.start()
    read = read_json(tmp_path / "x.json")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == [written] * 50
    assert len({id(number) for row in read for number in row}) == 800
    assert size < 12 * 800 * 50


@pytest.mark.parametrize("most", [0, 3, 2**18])
def test_numbers_are_those_of_python_however_many_are_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(coco, "_MOST_SHARED", most)
    text = (
        "[-0.0, 0.0, 1.0, 1, 1e2, 100.0, 0.1, 0.1, 0.10000000000000001, 1e-320, 2.50, 2.5, 1e999]"
    )
    (tmp_path / "x.json").write_text(text)
    assert repr(read_json(tmp_path / "x.json")) == repr(json.loads(text))


NOT_JSON = [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    (b'{"a": 1', "Expecting ',' delimiter: line 1 column 8 (char 7)"),
    (b"{} {}", "Extra data: line 1 column 4 (char 3)"),
    (b"\xef\xbb\xbf", "the file is empty"),
    (
        b"\xef\xbb\xbf{",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    (b"\xff\xfe{", "byte 2 is not UTF-16"),
    (
        b"\x1f\x8b\x08",
        "damaged gzip: Compressed file ended before the end-of-stream marker was reached",
    ),
    (b'{"a": "\xe9"}', "byte 7 is not UTF-8"),
    (b"[" * 100_000, "is nested too deeply"),
]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, encoding: str, pack: Any) -> None:
    path = tmp_path / "x.json"
    text = '{"n": ["Tasse à thé", "茶碗"]}'
    marked = text if encoding in ("utf-8-sig", "utf-16") else "\ufeff" + text
    path.write_bytes(pack(marked.encode(encoding)))
    assert read_json(path) == {"n": ["Tasse à thé", "茶碗"]}
    assert has_byte_order_mark(path)
    path.write_bytes(pack(text.encode()))
    assert not has_byte_order_mark(path)


@pytest.mark.parametrize(("content", "reason"), NOT_JSON)
def test_read_json_refuses(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(CocoError) as refusal:
        read_json(path)
    assert str(refusal.value) == f"{path}: not JSON: {reason}"


def test_read_json_refuses_numbers_of_endless_digits(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("1" * 10_000)
    with pytest.raises(CocoError, match="not JSON: Exceeds the limit"):
        read_json(tmp_path / "x.json")


def test_every_nan_is_named_with_record_and_key(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(
        '{"info": {"a": [1, NaN]}, "images": [{"id": 7, "width": Infinity}], "score": -Infinity,'
        ' "annotations": [{"id": 3, "bbox": [NaN, 1, NaN, 2]}, {"x": {"y": NaN}}, NaN]}'
    )
    with pytest.raises(CocoError) as refusal:
        read_json(path)
    assert [str(fault) for fault in refusal.value.faults] == [
        f"{path}: info.a[1]: is NaN, which is not valid JSON",
        f"{path}: images[0] (id 7): width is Infinity, which is not valid JSON",
        f"{path}: score: is -Infinity, which is not valid JSON",
        f"{path}: annotations[0] (id 3): bbox[0] is NaN, which is not valid JSON",
        f"{path}: annotations[0] (id 3): bbox[2] is NaN, which is not valid JSON",
        f"{path}: annotations[1]: x.y is NaN, which is not valid JSON",
        f"{path}: annotations[2]: is NaN, which is not valid JSON",
    ]


def test_gzip_is_read_whatever_its_name(tmp_path: Path, dataset: Any) -> None:
    for name in ("x.json.gz", "x.json"):
        packed = gzip.compress(json.dumps(dataset).encode())
        (tmp_path / name).write_bytes(packed)
        assert read_coco(tmp_path / name) == dataset
        (tmp_path / name).write_bytes(packed[:-30])
        with pytest.raises(CocoError, match=f"{name}: not JSON: damaged gzip: "):
            read_json(tmp_path / name)


def test_json_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(CocoError, match=r"looks like JSON lines .* put the records into one list"):
        read_json(tmp_path / "x.json")


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"{path}: no such file"):
            read_json(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": [1.0, {"b": float("nan")}]}, r"a\[1\].b is nan"),
        ({"a": [np.float32(1)]}, "Object of type float32 is not JSON serializable"),
    ],
)
def test_write_json_refuses_and_leaves_the_old_file(
    tmp_path: Path, content: Any, reason: str
) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match=f"{path}: cannot be written as JSON: {reason}"):
        write_json(path, content)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_write_json_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(self: Path, target: Path) -> Path:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "x.json", {})
    assert list(tmp_path.iterdir()) == []


def test_read_coco_refuses_with_all_faults(tmp_path: Path, dataset: Any) -> None:
    for annotation in dataset["annotations"]:
        annotation["area"] = -1
    for _ in range(3):
        dataset["annotations"] += [dict(a, id=a["id"] + 1000) for a in dataset["annotations"]]
        for index, annotation in enumerate(dataset["annotations"]):
            annotation["id"] = index
    path = tmp_path / "x.json"
    write_json(path, dataset)
    with pytest.raises(CocoError) as refusal:
        read_coco(path)
    assert len(refusal.value.faults) == 96
    lines = str(refusal.value).splitlines()
    assert len(lines) == 21
    assert lines[0] == f"{path}: annotations[0] (id 0): area must be >= 0, got -1"
    assert lines[20] == "… and 76 more faults"


def test_drop_faulty_removes_and_counts_annotations_once(dataset: Any) -> None:
    assert drop_faulty(dataset, "x.json") == (dataset, {}, {})
    before = [annotation["id"] for annotation in dataset["annotations"]]
    dataset["annotations"][1].update(area=-1, bbox=[0, 0, 0, 0])
    dataset["annotations"][2].update(segmentation=[[1, 1, 1, 1, 1, 1]])
    dataset["annotations"][4].update(segmentation=[])
    dataset["annotations"][5].update(id=before[0])
    kept, dropped, mended = drop_faulty(dataset, "x.json")
    assert dropped == {"area": 1, "segmentation": 2}
    assert mended == {"annotation ids missing, repeated or too large, numbered anew": 1}
    ids = [annotation["id"] for annotation in kept["annotations"]]
    assert ids == [before[0], before[3], max(before) + 1, *before[6:]]
    assert kept["images"] == dataset["images"]
    assert len(dataset["annotations"]) == len(before)


def test_drop_faulty_never_drops_images_or_categories(dataset: Any) -> None:
    dataset["images"][0]["width"] = 0
    dataset["annotations"][0]["area"] = -1
    with pytest.raises(CocoError) as refusal:
        drop_faulty(dataset, "x.json")
    assert [fault.where for fault in refusal.value.faults] == ["images[0] (id 7)"]


def test_annotations_by_image_has_every_image_in_file_order(dataset: Any) -> None:
    by_image = annotations_by_image(dataset)
    assert {key: [a["id"] for a in found] for key, found in by_image.items()} == {
        7: [70, 71, 72, 73],
        8: [80, 81, 82, 83],
        9: [90, 91, 92, 93],
        10: [],
    }


def test_written_files_are_plain_json(tmp_path: Path, dataset: Any) -> None:
    write_json(tmp_path / "x.json", dataset)
    assert json.loads((tmp_path / "x.json").read_text()) == dataset
