"""`ggn predict` and `ggn group`, README's commands on one's own images, and refusals."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ggn.core.instances import Instances


def test_predict_writes_masks_and_a_picture(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    out = tmp_path / "out"
    status = ggn("predict", photo, "--weights", weights / "detector", "--out", out)
    assert status == 0
    written = json.loads((out / "photo.json").read_text())
    assert written["image"] == {"id": 0, "file_name": "photo.jpg", "height": 60, "width": 80}
    found = Instances.from_coco_results(written["instances"], (60, 80))
    assert 0 < len(found) <= 7
    assert (np.diff(found.scores) <= 0).all()
    with Image.open(out / "photo.png") as picture:
        assert picture.size == (80, 60)
    assert sorted(path.name for path in out.iterdir()) == ["photo.json", "photo.png"]


def test_group_shows_affinity_hierarchy_and_candidates(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    out = tmp_path / "out"
    words = ("group", photo, "--affinity-weights", weights / "affinity", "--out", out)
    assert ggn(*words) == 0
    written = json.loads((out / "photo.json").read_text())
    assert Instances.from_coco_results(written["instances"], (60, 80)).image_size_hw == (60, 80)
    with Image.open(out / "photo.png") as picture:
        assert picture.width > 2 * picture.height  # four panels side by side


def test_the_readme_on_ones_own_images(
    photo: Path,
    weights: Path,
    tiny_coco: Path,
    ggn: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every `ggn` line and every line of Python of README.md, in a folder laid out as it says."""
    folder = photo.parent
    monkeypatch.chdir(folder)
    shutil.copytree(weights / "detector", folder / "models/mine/ggn")
    for row in ("shapes", "coco_voc"):
        shutil.copytree(weights / "detector", folder / "releases" / row / "ggn")
    shutil.copytree(weights / "affinity", folder / "models/mine/affinity")
    (folder / "data/raw/mine").mkdir(parents=True)
    annotations = tiny_coco / "annotations" / "instances_train2017.json"
    shutil.copy(annotations, "data/raw/mine/train.json")
    shutil.copytree(tiny_coco / "train2017", "data/raw/mine/train")
    shutil.copy(tiny_coco / "annotations" / "instances_val2017.json", "data/raw/mine/val.json")
    box = {"image_id": 100, "score": 0.5, "bbox": [8, 8, 24, 16]}
    Path("results.json").write_text(json.dumps([box]))
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    lines = [line.split(" #")[0].split() for line in readme.splitlines()]
    commands = [words for words in lines if words[:1] == ["ggn"] and len(words) > 2]
    asked = {words[1] for words in commands}
    assert asked == {"check", "predict", "group", "evaluate", "zoo"}
    for words in commands:
        if words[1:] != ["zoo", "fetch", "coco_voc"]:  # it would download: tests/zoo/test_fetch.py
            assert ggn(*words[1:]) == 0, words
    assert (folder / "predictions/photo.json").exists()
    assert (folder / "groups/photo.png").exists()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "absent.jpg", "--weights", "{w}/detector"), "absent.jpg"),
        (("predict", "{photo}", "--weights", "{w}/affinity"), "affinity"),
        (("predict", "{photo}", "--weights", "nowhere"), "nowhere/card.json"),
        (("predict", "{photo}", "{photo}", "--weights", "{w}/detector"), "same name"),
        (("group", "{w}/detector/card.json", "--affinity-weights", "{w}/affinity"), "card.json"),
        (("check", "absent.json"), "absent.json"),
    ],
)
def test_refusals_are_one_message_and_exit_status_1(
    words: tuple[str, ...],
    message: str,
    photo: Path,
    weights: Path,
    tmp_path: Path,
    ggn: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [word.format(photo=photo, w=weights) for word in words]
    assert ggn(*filled) == 1
    captured = capsys.readouterr()
    assert message in captured.out + captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "predictions").exists()
    assert not (tmp_path / "groups").exists()
