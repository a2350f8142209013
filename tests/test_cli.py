"""The `ggn` command as a person types it: check, predict, group, and what it refuses."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ggn import cli
from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.core.instances import Instances
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights

TINY = {"name": "resnet10", "width": 8, "norm": "group", "weights": None, "frozen_stages": 0}


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `ggn words…` and return its exit status."""
    monkeypatch.setattr("sys.argv", ["ggn", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `detector` and `affinity` with small networks of random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    detector = DetectorParams.model_validate(
        {
            "backbone": TINY,
            "fpn_channels": 16,
            "max_size": [64, 64],
            "rpn": {"candidates_per_level": 50, "proposals": 50},
            "box": {"channels": 16},
            "mask": {"convolutions": 0, "channels": 8},
            "detection": {"max_detections": 7},
        }
    )
    save_weights(
        MaskRCNN(detector),
        folder / "detector",
        {"kind": "detector", "params": detector.model_dump(), "seed": 0},
    )
    affinity = AffinityParams.model_validate(
        {"backbone": TINY, "pool_channels": 8, "head_channels": 8, "head_norm": "group"}
    )
    save_weights(
        AffinityNet(affinity),
        folder / "affinity",
        {"kind": "affinity", "params": affinity.model_dump(), "seed": 0},
    )
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
    return path


def test_predict_writes_masks_and_a_picture(
    photo: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    status = run(monkeypatch, "predict", photo, "--weights", weights / "detector", "--out", out)
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
    photo: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ("group", photo, "--affinity-weights", weights / "affinity", "--out", out)
    assert run(monkeypatch, *words) == 0
    written = json.loads((out / "photo.json").read_text())
    assert Instances.from_coco_results(written["instances"], (60, 80)).image_size_hw == (60, 80)
    with Image.open(out / "photo.png") as picture:
        assert picture.width > 2 * picture.height  # four panels side by side


def test_the_readme_on_ones_own_images(
    photo: Path,
    weights: Path,
    tiny_coco: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every `ggn` line and every line of Python of README.md, in a folder laid out as it says."""
    folder = photo.parent
    monkeypatch.chdir(folder)
    shutil.copytree(weights / "detector", folder / "models/mine/ggn")
    shutil.copytree(weights / "affinity", folder / "models/mine/affinity")
    (folder / "data/raw/mine").mkdir(parents=True)
    annotations = tiny_coco / "annotations" / "instances_train2017.json"
    shutil.copy(annotations, "data/raw/mine/train.json")
    shutil.copytree(tiny_coco / "train2017", "data/raw/mine/train")
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    lines = [line.split(" #")[0].split() for line in readme.splitlines()]
    commands = [words for words in lines if words[:1] == ["ggn"] and len(words) > 2]
    assert {words[1] for words in commands} == {"check", "predict", "group"}
    for words in commands:
        assert run(monkeypatch, *words[1:]) == 0, words
    assert (folder / "predictions/photo.json").exists()
    assert (folder / "groups/photo.png").exists()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_check_lists_each_fault_and_fails(
    tiny_coco: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tiny_coco / "annotations" / "instances_val2017.json"
    images = ("--images", tiny_coco / "val2017")
    assert run(monkeypatch, "check", path, *images) == 0
    dataset = json.loads(path.read_text())
    dataset["annotations"][0]["image_id"] = 999
    (tiny_coco / "val2017" / dataset["images"][-1]["file_name"]).unlink()
    path.write_text(json.dumps(dataset))
    assert run(monkeypatch, "check", path, *images) == 1
    printed = capsys.readouterr().out
    assert "999" in printed
    assert dataset["images"][-1]["file_name"] in printed


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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [word.format(photo=photo, w=weights) for word in words]
    assert run(monkeypatch, *filled) == 1
    captured = capsys.readouterr()
    assert message in captured.out + captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "predictions").exists()
    assert not (tmp_path / "groups").exists()
