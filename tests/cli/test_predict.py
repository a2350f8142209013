"""`ggn predict` and `ggn group`, README's commands on one's own images, and refusals."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ggn.core.instances import Instances
from ggn.data.images import read_image
from ggn.data.mask_store import MaskStore
from ggn.detector import Detector, DetectorParams, MaskRCNN, load_detector
from ggn.engine.weights import save_weights
from ggn.grouping import FEATURE_NAMES, GroupingParams
from ggn.pseudo_gt.learn import LearnedRanking
from ggn.pseudo_gt.rank import oln_scores, rank_candidates
from ggn.store.parquet import ImageInstances
from ggn.store.shards import ShardWriter, shard_path
from pipelines.extract_regions import group, load_predictor
from pipelines.stage import load_params


def read(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    images = json.loads((out / "images.json").read_text())
    return images, json.loads((out / "results.json").read_text())


def test_predict_writes_one_results_file_and_pictures(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    out, other = tmp_path / "out", tmp_path / "other.png"
    Image.open(photo).resize((50, 40)).save(other)
    status = ggn("predict", photo, other, "--weights", weights / "detector", "--out", out)
    assert status == 0
    images, results = read(out)
    assert images["images"] == [
        {"id": 1, "file_name": "photo.jpg", "height": 60, "width": 80},
        {"id": 2, "file_name": "other.png", "height": 40, "width": 50},
    ]
    for image_id, size_hw in ((1, (60, 80)), (2, (40, 50))):
        own = [record for record in results if record["image_id"] == image_id]
        found = Instances.from_coco_results(own, size_hw)
        assert 0 < len(found) <= 7
        assert (np.diff(found.scores) <= 0).all()
        with Image.open(out / ("photo.png", "other.png")[image_id - 1]) as picture:
            assert picture.size == size_hw[::-1]
    names = ["images.json", "other.png", "photo.png", "results.json"]
    assert sorted(path.name for path in out.iterdir()) == names


def test_limits_keep_the_best(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    words = ("predict", photo, "--weights", weights / "detector", "--no-pictures", "--out")
    assert ggn(*words, tmp_path / "all") == 0
    scores = [record["score"] for record in read(tmp_path / "all")[1]]
    assert len(scores) > 3
    assert ggn(*words, tmp_path / "two", "--max-detections", 2) == 0
    assert [record["score"] for record in read(tmp_path / "two")[1]] == scores[:2]
    assert ggn(*words, tmp_path / "good", "--min-score", scores[2]) == 0
    kept = [score for score in scores if np.float32(score) >= scores[2]]
    assert [record["score"] for record in read(tmp_path / "good")[1]] == kept
    assert not list(tmp_path.glob("*/*.png"))


def test_what_cannot_be_read_is_named_at_the_end(
    photo: Path,
    weights: Path,
    tmp_path: Path,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, out = tmp_path / "broken.jpg", tmp_path / "out"
    broken.write_bytes(photo.read_bytes()[:300])
    assert ggn("predict", broken, photo, "--weights", weights / "detector", "-o", out) == 1
    said = capsys.readouterr()
    assert "1 of 2 images could not be read:" in said.err
    assert str(broken) in said.err
    assert {record["image_id"] for record in read(out)[1]} == {2}
    assert (out / "photo.png").exists()


def test_results_of_a_coco_file_go_straight_into_the_other_commands(
    weights: Path, tiny_coco: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    truth = tiny_coco / "annotations" / "instances_val2017.json"
    images = ("--images", tiny_coco / "val2017")
    for out, limit in (("a", 7), ("b", 2)):
        words = ("predict", truth, *images, "--weights", weights / "detector", "--no-pictures")
        assert ggn(*words, "--max-detections", limit, "-o", tmp_path / out) == 0
    first, second = (tmp_path / out / "results.json" for out in "ab")
    assert {r["image_id"] for r in json.loads(first.read_text())} == {100, 101}
    assert not (tmp_path / "a" / "images.json").exists()
    assert ggn("evaluate", truth, first, "--json", tmp_path / "metrics.json") == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())["metrics"]["all"]
    assert metrics["AR_10"] >= 0
    out = tmp_path / "comparison"
    assert ggn("compare", first, second, "--annotations", truth, *images, "-o", out) == 0
    assert ggn("pseudo-gt", "import", first, "-o", tmp_path / "store") == 0
    stored = MaskStore(tmp_path / "store").read(100)
    own = [r for r in json.loads(first.read_text()) if r["image_id"] == 100]
    assert stored is not None
    assert stored.masks == [record["segmentation"] for record in own]
    assert stored.scores.tolist() == [record["score"] for record in own]


def test_fresh_ids_come_with_the_images_that_compare_draws(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """images.json is a COCO file: add annotations, and it is the truth of the same images."""
    out = tmp_path / "out"
    assert ggn("predict", photo, "--weights", weights / "detector", "-o", out) == 0
    dataset, results = read(out)
    box = {"id": 1, "image_id": 1, "category_id": 1, "area": 600.0, "iscrowd": 0}
    mask = {"bbox": [8, 8, 30, 20], "segmentation": [[8, 8, 38, 8, 38, 28, 8, 28]]}
    (tmp_path / "truth.json").write_text(json.dumps({**dataset, "annotations": [{**box, **mask}]}))
    assert ggn("check", tmp_path / "truth.json", "--images", photo.parent) == 0
    assert ggn("evaluate", tmp_path / "truth.json", out / "results.json") == 0
    assert results


def test_group_shows_affinity_hierarchy_and_candidates(
    photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    out = tmp_path / "out"
    words = ("group", photo, "--affinity-weights", weights / "affinity", "--out", out)
    assert ggn(*words) == 0
    _, results = read(out)
    assert Instances.from_coco_results(results, (60, 80)).image_size_hw == (60, 80)
    with Image.open(out / "photo.png") as picture:
        assert picture.width > 2 * picture.height  # four panels side by side


@pytest.mark.parametrize("command", ["predict", "group"])
def test_16_bit_colour_is_read_like_that_of_8_bits(
    command: str, photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """Of a camera of 10 bits, as `data.bits` and --bits say, or of all 16."""
    tifffile = pytest.importorskip("tifffile", reason="needs scikit-image")
    pixels = np.asarray(Image.open(photo)).astype(np.uint16)
    found = {}
    for name, factor, words in (("8", 1, ()), ("10", 4, ("--bits", "10")), ("16", 256, ())):
        file, out = tmp_path / f"{name}.tif", tmp_path / f"out{name}"
        values = (pixels * factor).astype(np.uint8 if factor == 1 else np.uint16)
        tifffile.imwrite(file, values, photometric="rgb")
        network = {"predict": ("--weights", weights / "detector")}
        network["group"] = ("--affinity-weights", weights / "affinity")
        assert ggn(command, file, *network[command], "--no-pictures", "--out", out, *words) == 0
        found[name] = (out / "results.json").read_bytes()
    assert found["8"] == found["10"] == found["16"]
    assert b"counts" in found["8"]


def test_group_of_a_split_groups_and_ranks_as_its_stages_do(
    photo: Path,
    weights: Path,
    tmp_path: Path,
    ggn: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The stages' own functions are the oracle; the row is ranked by another score than grouped."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(weights / "affinity", "models/mine/affinity")
    row = """
      mine:
        data: {root: x}
        affinity: {}
        grouping: {longest_side: 40, min_area: 5, max_candidates: 9}
        pseudo_gt: {rank: outline_affinity}
        detector: {}
        evaluation: {}
    """
    params = f"seed: 0\nactive: [mine]\ndefaults: {{}}\nsplits:{row}"
    Path("params.yaml").write_text(params)
    assert ggn("group", photo, "--split", "mine", "-o", "out") == 0
    _, results = read(Path("out"))
    sections = load_params("mine")
    grouping = sections["grouping"]
    assert isinstance(grouping, GroupingParams)
    predict = load_predictor(Path("models/mine/affinity"), grouping.longest_side)
    item = group(grouping, 1, predict(photo))
    ranked = rank_candidates(item, FEATURE_NAMES, "outline_affinity").resized((60, 80))
    assert 0 < len(ranked) <= 9
    assert results == ranked.to_coco_results(1)
    link = "inherited: [{split: mine, section: pseudo_gt, from: models/mine/baseline}]\n"
    Path("params.yaml").write_text(link + params.replace("outline_affinity", "oln"))
    assert ggn("group", photo, "--split", "mine", "-o", "no") == 1
    assert "train_detector@mine-baseline` makes it" in capsys.readouterr().err
    shutil.copytree(weights / "detector", "models/mine/baseline")
    assert ggn("group", photo, "--split", "mine", "-o", "no") == 1
    said = "is 'oln', but the heads of models/mine/baseline are 'mask_rcnn'"
    assert said in " ".join(capsys.readouterr().err.split())
    oln = write_oln(Path("models/mine/baseline"))
    assert ggn("group", photo, "--split", "mine", "--tile", 64, "-o", "no") == 1
    assert "--tile 64: the ranking 'oln' of mine can't rate tiles" in capsys.readouterr().err
    assert ggn("group", photo, "--split", "mine", "-o", "oln") == 0
    ratings = oln.rate_boxes(read_image(photo), item.instances.resized((60, 80)).boxes_xyxy)
    wanted = rank_candidates(item, FEATURE_NAMES, "oln", {1: oln_scores(item, *ratings)})
    assert read(Path("oln"))[1] == wanted.resized((60, 80)).to_coco_results(1)
    assert len(set(wanted.scores.tolist())) > 3
    Path("params.yaml").write_text(params.replace("outline_affinity", "learned"))
    assert ggn("group", photo, "--split", "mine", "-o", "no") == 1
    said = capsys.readouterr().err
    assert "data/mine/candidates, data/mine/training/baseline.json; `dvc repro extract" in said
    assert not Path("no").exists()
    items = [group(grouping, i, predict(photo)) for i in range(1, 13)]  # twelve copies of it
    write_training("mine", items)
    assert ggn("group", photo, "--split", "mine", "-o", "learned") == 0
    learned = LearnedRanking((it, it.instances.masks[1:4]) for it in items)
    given = {1: learned(item.features)}
    wanted = rank_candidates(item, FEATURE_NAMES, "learned", given).resized((60, 80))
    assert read(Path("learned"))[1] == wanted.to_coco_results(1)
    assert len(set(wanted.scores.tolist())) > 3


def write_oln(folder: Path) -> Detector:
    """Turn a detector's folder into an OLN of random weights."""
    card = json.loads((folder / "card.json").read_text())
    torch.manual_seed(0)
    params = DetectorParams.model_validate({**card["params"], "heads": "oln", "mask": None})
    save_weights(MaskRCNN(params), folder, {**card, "params": params.model_dump()})
    return load_detector(folder)


def write_training(split: str, items: list[ImageInstances]) -> None:
    """Write what the stages before leave: candidates, of each image the second to the fourth of
    which are annotated."""
    folder, ids = Path("data") / split, [item.image_id for item in items]
    writer = ShardWriter(Path("log"), shard_path(folder / "candidates", 0, 1), ids, FEATURE_NAMES)
    for item in items:
        writer.append(item)
    writer.finish()
    height, width = items[0].instances.image_size_hw
    shown = [(item.image_id, instance) for item in items for instance in item.instances[1:4]]
    dataset = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": height, "width": width} for i in ids
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "area": it.area,
                "bbox": [
                    it.box_xyxy[0],
                    it.box_xyxy[1],
                    it.box_xyxy[2] - it.box_xyxy[0],
                    it.box_xyxy[3] - it.box_xyxy[1],
                ],
                "segmentation": it.mask,
            }
            for number, (image_id, it) in enumerate(shown, start=1)
        ],
    }
    (folder / "training").mkdir()
    (folder / "training" / "baseline.json").write_text(json.dumps(dataset))


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
    assert asked == {"check", "init", "predict", "group", "evaluate", "zoo"}
    for words in commands:
        if words[1:3] == ["zoo", "fetch"] or words[1] == "init":
            continue  # these download, and want other categories: test_fetch.py, test_init.py
        assert ggn(*words[1:]) == 0, words
    assert (folder / "predictions/results.json").exists()
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
        (("predict", "{photo}", "--weights", "nowhere"), "nowhere: no such folder"),
        (("predict", "{photo}", "--weights", "{w}/detector", "--device", "gpu"), "cuda or cuda:N"),
        (("predict", "{photo}", "--weights", "{w}/detector", "--device", "cuda:99"), "cuda:99"),
        (("predict", "*.webp", "--weights", "{w}/detector"), "*.webp: no such file"),
        (("group", "{photo}"), "--affinity-weights FOLDER, or --split NAME"),
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


@pytest.mark.parametrize("name", ["yolo", "labelme", "cvat", "label-studio"])
def test_other_formats_come_beside_the_results(
    name: str, photo: Path, weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    written = {
        "yolo": ["data.yaml", "labels/photo.txt"],
        "labelme": ["labelme/photo.json"],
        "cvat": ["annotations.xml"],
        "label-studio": ["label_config.xml", "tasks.json"],
    }
    out = tmp_path / "out"
    words = ("predict", photo, "--weights", weights / "detector", "--no-pictures", "--format", name)
    assert ggn(*words, "-o", out) == 0
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == sorted([*written[name], "images.json", "results.json"])


def test_large_images_are_looked_at_in_tiles(
    weights: Path, tmp_path: Path, ggn: Callable[..., int]
) -> None:
    """Tiles find more than the network's 7 objects; an image that is not large is left whole."""
    pixels = np.random.default_rng(1).integers(0, 255, (150, 210, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    words = ("predict", tmp_path / "large.png", "--weights", weights / "detector")
    assert ggn(*words, "--tile", 64, "-o", tmp_path / "tiled", "--batch-size", 2) == 0
    assert ggn(*words, "--tile", "no", "-o", tmp_path / "no") == 0
    assert ggn(*words, "-o", tmp_path / "auto") == 0  # no megapixel
    tiled, whole, auto = (read(tmp_path / name)[1] for name in ("tiled", "no", "auto"))
    assert len(tiled) > 7 >= len(whole)
    assert auto == whole
    found = Instances.from_coco_results(tiled, (150, 210))
    assert (np.diff(found.scores) <= 0).all()
    with Image.open(tmp_path / "tiled" / "large.png") as picture:
        assert picture.size == (210, 150)
    words = ("group", tmp_path / "large.png", "--affinity-weights", weights / "affinity")
    assert ggn(*words, "--tile", 64, "-o", tmp_path / "groups", "--max-detections", 50) == 0
    segments = Instances.from_coco_results(read(tmp_path / "groups")[1], (150, 210))
    assert 0 < len(segments) <= 50
    assert ggn(*words, "--tile", "63") == 1
