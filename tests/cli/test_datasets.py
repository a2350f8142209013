"""`ggn check`, `ggn convert`."""

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


def test_convert_says_what_it_made_and_check_passes(
    official: Callable[[str, Path], Path],
    tmp_path: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = official("uvo", tmp_path / "uvo")
    assert ggn("convert", "uvo", source, "-o", source / "converted") == 0
    printed = capsys.readouterr().out
    assert "dense_val.json: dataset uvo, set dense val, videos 2, images 4, objects 2" in printed
    for path in (source / "converted").iterdir():
        assert ggn("check", path, "--images", source) == 0


def test_convert_refuses_with_one_message(
    tmp_path: Path, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert ggn("convert", "imagenet", tmp_path / "empty", "-o", tmp_path / "out") == 1
    refusal = capsys.readouterr().err
    assert f"{tmp_path / 'empty'}: lacks train; get ILSVRC2012_img_train.tar" in refusal
    assert not (tmp_path / "out").exists()
    assert ggn("convert", "openimages", tmp_path, "-o", tmp_path / "out") == 2
