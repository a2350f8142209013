"""`ggn pseudo-gt import` and `export`: the reference's files in and out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ggn.core.masks import encode
from ggn.data.mask_store import MaskStore


def record(image_id: int, score: float, reduced: bool = False) -> dict[str, Any]:
    """A mask of the left column of an image 2 high and 4 wide, or of it at half the size."""
    size = (1, 2) if reduced else (2, 4)
    bitmap = [[1] * (size[1] // 2) + [0] * (size[1] // 2)] * size[0]
    (mask,) = encode([bitmap])
    return {
        "segmentation": mask,
        "image_id": image_id,
        "score": score,
        "gt_iou": 0.25,
        "orig_shape": [2, 4],
    }


LISTS = [[record(9, 0.5), record(9, 0.25)], [], [record(4, 0.75, reduced=True)]]


def write_lists(folder: Path) -> Path:
    (folder / "lists.json").write_text(json.dumps(LISTS))
    return folder / "lists.json"


def write_files(folder: Path) -> Path:
    (folder / "files").mkdir()
    for entry, name in zip(LISTS, ("9", "5", "4"), strict=True):
        (folder / "files" / f"{name}.json").write_text(json.dumps(entry))
    return folder / "files"


@pytest.mark.parametrize("write", [write_lists, write_files])
def test_both_forms_come_in_and_go_out(
    tmp_path: Path, ggn: Callable[..., int], write: Callable[[Path], Path]
) -> None:
    assert ggn("pseudo-gt", "import", write(tmp_path), "-o", tmp_path / "store") == 0
    store = MaskStore(tmp_path / "store")
    assert store.image_ids.tolist() == [4, 9]
    small = store.read(4)
    assert small is not None
    assert small.bitmaps().tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0]]]  # back at its size
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out.json") == 0
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out") == 0
    lists = json.loads((tmp_path / "out.json").read_text())
    assert [json.loads((tmp_path / "out" / f"{i}.json").read_text()) for i in (4, 9)] == lists
    assert [[r["score"] for r in entry] for entry in lists] == [[0.75], [0.5, 0.25]]
    first = lists[1][0]
    assert first == record(9, 0.5) | {
        "area": 4.0,
        "bbox": [0.0, 0.0, 2.0, 2.0],
        "category_id": 1,
        "rank": 0,
    }


def test_what_is_not_that_format_is_refused(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = write_files(tmp_path)
    (wrong / "9.json").rename(wrong / "8.json")
    for source, message in (
        (wrong, "8.json: holds image 9, not the one it is named after"),
        (tmp_path / "nothing", "no file that is named after an image id"),
    ):
        assert ggn("pseudo-gt", "import", source, "-o", tmp_path / "store") == 1
        assert message in capsys.readouterr().err
    assert ggn("pseudo-gt", "export", tmp_path / "store", "-o", tmp_path / "out") == 1
    assert "index.parquet: missing" in capsys.readouterr().err


def test_coco_results_come_in_best_first(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        {key: entry[key] for key in ("segmentation", "image_id", "score")}
        for entry in (record(9, 0.25), record(4, 0.75), record(9, 0.5))
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert ggn("pseudo-gt", "import", tmp_path / "results.json", "-o", tmp_path / "store") == 0
    store = MaskStore(tmp_path / "store")
    assert store.image_ids.tolist() == [4, 9]
    nine = store.read(9)
    assert nine is not None
    assert nine.scores.tolist() == [0.5, 0.25]
    assert nine.bitmaps().tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0]]] * 2
    del results[1]["score"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert ggn("pseudo-gt", "import", tmp_path / "results.json", "-o", tmp_path / "store") == 1
    assert "[1]: must have image_id (an integer), segmentation" in capsys.readouterr().err
