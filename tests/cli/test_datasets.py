"""`ggn check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_check_lists_each_fault_and_fails(
    tiny_coco: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tiny_coco / "annotations" / "instances_val2017.json"
    images = ("--images", tiny_coco / "val2017")
    assert ggn("check", path, *images) == 0
    dataset = json.loads(path.read_text())
    dataset["annotations"][0]["image_id"] = 999
    (tiny_coco / "val2017" / dataset["images"][-1]["file_name"]).unlink()
    path.write_text(json.dumps(dataset))
    assert ggn("check", path, *images) == 1
    printed = capsys.readouterr().out
    assert "999" in printed
    assert dataset["images"][-1]["file_name"] in printed
