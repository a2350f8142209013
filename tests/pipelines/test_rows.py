"""Every row of the zoo, from the official files of its datasets to its table: tiny, in process."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from ggn.affinity.params import AffinityParams
from ggn.core import Instances
from ggn.core.coco import write_json
from ggn.core.masks import encode
from ggn.data.conversion import convert_parts
from ggn.data.mask_store import MaskStoreWriter
from ggn.data.params import DataParams
from ggn.detector.params import DetectorParams
from ggn.evaluation.params import RECIPES
from ggn.pseudo_gt.params import PseudoGtParams
from pipelines.stage import ParamsError

ROOT = Path(__file__).parents[2]
PARAMS = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text("utf-8"))
ROWS = (
    "coco_person",
    "coco_voc",
    "coco_voc_oln",
    "lvis_coco",
    "lvis_noncoco",
    "coco_uvo",
    "coco_ade20k",
    "coco_lvis",
    "imagenet",
    "coco_uvo_imagenet",
)
TINY_BACKBONE = {"name": "resnet10", "width": 8, "norm": "group", "weights": None}
TRAINING = {"epochs": 1, "batch_size": 4, "warmup_steps": 0, "precision": "32-true", "lr": 0.01}
TINY: dict[str, dict[str, Any]] = {
    "data": {},
    "affinity": {
        **TRAINING,
        "backbone": TINY_BACKBONE,
        "pool_channels": 8,
        "head_channels": 8,
        "head_norm": "group",
    },
    "grouping": {"min_area": 10, "border_fraction": 0.9},
    "pseudo_gt": {},
    "detector": {
        **TRAINING,
        "backbone": {**TINY_BACKBONE, "frozen_stages": 0},
        "fpn_channels": 16,
        "max_size": [64, 64],
        "rpn": {"candidates_per_level": 50, "proposals": 50},
        "box": {"channels": 16, "samples": 32},
        "mask": {"convolutions": 1, "channels": 16, "norm": "group"},
        "detection": {"max_detections": 20},
    },
    "evaluation": {},
}
LINKS = {
    "imagenet": [("imagenet", "affinity", "models/coco_uvo/affinity")],
    "coco_uvo_imagenet": [
        ("coco_uvo_imagenet", "affinity", "models/coco_uvo/affinity"),
        ("coco_uvo_imagenet", "detector", "models/imagenet/ggn"),
    ],
}


def stage(name: str, *words: str) -> None:
    importlib.import_module(f"pipelines.{name}").main(*words)


def write_params(row: str, changed: Mapping[str, Any] | None = None) -> None:
    """Write params.yaml of one shipped row made tiny: reading it is most of a tiny stage's time."""
    sections = tiny(PARAMS["splits"][row])
    for section, values in (changed or {}).items():
        sections[section] = {**sections[section], **values}
    document = {**PARAMS, "active": [row], "splits": {row: sections}}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(document, file)


def tiny(row: dict[str, Any]) -> dict[str, Any]:
    """The shipped row with a network for seconds instead of days."""
    return {section: {**row[section], **TINY[section]} for section in row}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, official: Any) -> Path:
    """Official files under data/raw/, converted in place."""
    folder = tmp_path_factory.mktemp("project")
    for name, layout in (
        ("coco", "coco"),
        ("lvis", "lvis"),
        ("uvo", "uvo"),
        ("ade20k", "ade20k_challenge"),
        ("imagenet", "imagenet"),
        ("nuclei", "bbbc038"),
    ):
        source = official(layout, folder / "data/raw" / name)
        module = "bbbc038" if name == "nuclei" else name
        parts = importlib.import_module(f"ggn.data.{module}").parts(source)
        if name != "coco":
            list(convert_parts(parts, source / "converted", drop=False, progress=lambda i, _: i))
    return folder


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    find_spec = importlib.util.find_spec
    without = lambda name, *a: None if name == "mlflow" else find_spec(name, *a)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def built(inside: Path) -> Callable[[str], Path]:
    """Build a row once, after the rows whose weights it takes."""

    def build(row: str) -> Path:
        done = Path("reports") / row / "comparison.json"
        if done.exists():
            return done.parent
        for _, _, source in LINKS.get(row, []):
            build(source.split("/")[1])
        write_params(row)
        run_stages(row)
        return done.parent

    return build


def run_stages(row: str) -> None:
    stage("prepare", row)
    for link in LINKS.get(row, []):
        stage("inherit", *link)
    stage("train_affinity", row)
    stage("evaluate_affinity", row)
    stage("extract_regions", row)
    stage("train_detector", row, "baseline")
    stage("score_candidates", row)
    stage("select_pseudo_gt", row)
    stage("train_detector", row, "ggn")
    for recipe in RECIPES:
        stage("predict", row, recipe)
        stage("evaluate", row, recipe)
    stage("compare", row)


K = {**dict.fromkeys(ROWS, 3), "lvis_coco": 1, "lvis_noncoco": 1, "imagenet": 10}


@pytest.mark.parametrize("row", ROWS)
def test_row_has_the_recipe_of_the_reference(row: str) -> None:
    """Eight epochs at batch 16 and 0.02, but for ImageNet from random weights; K as published."""
    sections = PARAMS["splits"][row]
    DataParams(**sections["data"])
    affinity = AffinityParams(**sections["affinity"])
    detector = DetectorParams(**sections["detector"])
    assert PseudoGtParams(**sections["pseudo_gt"]).top_k == K[row]
    assert (affinity.epochs, affinity.lr, affinity.pos_weight) == (20, 0.02, 0.05)
    assert (detector.batch_size, detector.lr) == (16, 0.02)
    on_imagenet = row == "imagenet"
    assert (detector.epochs, detector.schedule) == ((24, "cosine") if on_imagenet else (8, "steps"))
    assert (detector.heads == "oln") == (row == "coco_voc_oln")
    from_random = detector.backbone.weights is None
    assert from_random == (row in ("imagenet", "coco_uvo_imagenet"))
    assert (detector.backbone.norm == "group") == from_random
    assert detector.backbone.frozen_stages == (0 if from_random else 1)


def test_our_recipe_stands_beside_the_reference_and_changes_the_affinity_alone() -> None:
    reference, ours = (PARAMS["splits"][row] for row in ("coco_voc", "coco_voc_photographs"))
    assert [section for section in ours if ours[section] != reference[section]] == ["affinity"]
    affinity = AffinityParams(**ours["affinity"])
    assert affinity == AffinityParams(recipe="photographs", epochs=1)
    assert (affinity.loss, affinity.optimizer) == ("balanced", "adamw")


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_row_goes_from_official_files_to_its_table(
    row: str, built: Callable[[str], Path], inside: Path
) -> None:
    reports = built(row)
    comparison = json.loads((reports / "comparison.json").read_text())
    for recipe in RECIPES:
        assert 0 <= comparison[recipe]["all/mask_AR_100"] <= 1
        assert 0 <= comparison[recipe]["unseen/mask_AR_100"] <= 1
    name = "all/mask_AR_100"
    for recipe in RECIPES:
        low, high = comparison["intervals"][recipe][name]
        assert 0 <= low <= high <= 1
    low, high = comparison["intervals"]["difference"][name]
    gain = comparison["ggn"][name] - comparison["baseline"][name]
    assert low - 1e-12 <= gain <= high + 1e-12
    pseudo = json.loads((reports / "pseudo_gt.json").read_text())
    assert pseudo["pseudo_masks"] > 0
    prepared = json.loads((reports / "prepare.json").read_text())
    assert prepared["val_objects"] > 0
    assert (prepared["train_objects"] == 0) == (row == "imagenet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "seen", "unseen"), [("nuclei_large", [1], [2]), ("nuclei_stained", [1, 2], [3])]
)
def test_nuclei_go_from_official_files_to_their_table(
    row: str, seen: list[int], unseen: list[int], built: Callable[[str], Path], inside: Path
) -> None:
    comparison = json.loads((built(row) / "comparison.json").read_text())
    assert all(0 <= comparison[recipe]["unseen/mask_AR_100"] <= 1 for recipe in RECIPES)
    split = json.loads(Path(f"data/{row}/prepared/split.json").read_text())
    assert (split["seen"], split["unseen"]) == (seen, unseen)


@pytest.mark.slow
def test_what_is_special_about_some_rows(built: Callable[[str], Path], inside: Path) -> None:
    for row in ("lvis_noncoco", "coco_uvo", "imagenet", "coco_uvo_imagenet"):
        built(row)
    split = json.loads(Path("data/lvis_noncoco/prepared/split.json").read_text())
    assert split["seen"] == [81]  # LVIS's own
    assert len(split["unseen"]) == 80  # COCO's
    assert split["val_images"] == "data/raw/coco/val2017"
    prepared = json.loads(Path("reports/coco_uvo/prepare.json").read_text())
    assert prepared["val_set"] == {"dataset": "uvo", "set": "dense val", "videos": 2}
    weights = "affinity/weights.safetensors"
    taken = Path("models/imagenet", weights).read_bytes()
    assert taken == Path("models/coco_uvo", weights).read_bytes()
    untrained = json.loads(Path("reports/imagenet/baseline/training.json").read_text())
    assert untrained["steps"] == 0


@pytest.mark.slow
def test_fetched_pseudo_ground_truth_stands_in_for_the_stages_before(
    built: Callable[[str], Path], inside: Path
) -> None:
    """Of two masks of each image the one on the annotation goes; nothing is grouped."""
    built("coco_voc")
    store = Path("releases/coco_voc/pseudo_gt")
    seen, other = np.zeros((2, 1, 48, 64), dtype=bool)
    seen[:, 8:20, 8:24] = other[:, 26:38, 36:52] = True
    masks = [*encode(seen), *encode(other)]
    with MaskStoreWriter(store) as writer:
        for image_id in (1, 2, 3):  # and none of image 4
            scores = np.array([0.9, 0.8], dtype=np.float32)
            writer.add(image_id, Instances(masks, scores, (48, 64)), [1.0, 0.0])
    name = store.as_posix()
    given = {"grouping": {"candidates_from": name}}
    write_params("coco_voc", given)
    with pytest.raises(ParamsError, match=f"section: grouping, from: {name}}}"):
        stage("extract_regions", "coco_voc")
    stage("inherit", "coco_voc", "grouping", name)
    stage("extract_regions", "coco_voc")
    counts = json.loads(Path("reports/coco_voc/extraction.json").read_text())
    assert (counts["images"], counts["candidates"]) == (4, 6)
    stage("score_candidates", "coco_voc")
    stage("select_pseudo_gt", "coco_voc")
    merged = json.loads(Path("data/coco_voc/training/ggn.json").read_text())
    pseudo = [a for a in merged["annotations"] if a["source"] == "pseudo"]
    boxes = [(a["image_id"], a["bbox"]) for a in pseudo]
    on_empty = [(1, [8, 8, 16, 12]), (1, [36, 26, 16, 12])]
    assert boxes == [*on_empty, (2, [36, 26, 16, 12]), (3, [36, 26, 16, 12])]
    write_params("coco_voc", {**given, "pseudo_gt": {"rank": "learned"}})
    with pytest.raises(ValueError, match="'learned' needs at least 20 candidates on annotated"):
        stage("select_pseudo_gt", "coco_voc")
    shutil.rmtree("reports/coco_voc")  # the next test builds it anew


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({"seen": "all", "unseen": "others"}, "unseen"),
        ({"val_annotations": "annotations/kept_1.json"}, "unseen"),
        ({"val_annotations": "annotations/kept_34.json"}, "seen"),
    ],
    ids=["seen: all", "no unseen object", "no seen object"],
)
def test_a_row_without_unseen_or_without_seen_objects_tells_of_the_others(
    inside: Path, capsys: pytest.CaptureFixture[str], data: dict[str, Any], missing: str
) -> None:
    """`seen: all` leaves nothing unseen, as in any dataset that is annotated in full."""
    folder = Path("data/raw/coco/annotations")
    for category in (1, 34):  # persons, which are seen, and kites
        val = json.loads((folder / "instances_val2017.json").read_text())
        val["annotations"] = [a for a in val["annotations"] if a["category_id"] == category]
        (folder / f"kept_{category}.json").write_text(json.dumps(val))
    write_params("coco_voc", {"data": {"drop_faulty": False, **data}})
    run_stages("coco_voc")
    told = capsys.readouterr().out
    reports = Path("reports/coco_voc")
    comparison = json.loads((reports / "comparison.json").read_text())
    for recipe in RECIPES:
        partitions = {name.split("/")[0] for name in comparison[recipe] if name != "protocol"}
        assert partitions == {"seen", "unseen", "all"} - {missing}
        assert 0 <= comparison[recipe]["all/mask_AR_100"] <= 1
    assert f"no {missing} object" in told
    assert (reports / "gallery.png").stat().st_size > 1000
    affinity = json.loads((reports / "affinity.json").read_text())
    assert affinity["partition"] == ("all" if missing == "unseen" else "unseen")
    shutil.rmtree("reports/coco_voc")  # the next test builds it anew


@pytest.mark.slow
def test_a_file_of_masks_stands_in_for_the_affinity(inside: Path) -> None:
    """From COCO results to the table and the gallery, without an affinity network."""
    folders = [Path(folder) / "coco_person" for folder in ("data", "models", "reports")]
    built = [folder.rename(f"{folder}.built") for folder in folders if folder.exists()]
    source = Path("data/raw/masks.json")
    results = []
    for image_id in (1, 2, 3, 4):
        bitmap = np.zeros((1, 48, 64), dtype=bool)
        bitmap[:, 26:38, 36:52] = True
        results.append({"image_id": image_id, "score": 0.5, "segmentation": encode(bitmap)[0]})
    write_json(source, results)
    given = {"affinity": {"train": False}, "grouping": {"candidates_from": source.as_posix()}}
    write_params("coco_person", {"affinity": {"train": False}})
    with pytest.raises(
        ParamsError, match=r"train: false needs masks from another source: .*candidates"
    ):
        stage("prepare", "coco_person")
    write_params("coco_person", given)
    stage("prepare", "coco_person")
    stage("inherit", "coco_person", "grouping", source.as_posix())
    for name in ("train_affinity", "evaluate_affinity", "extract_regions"):
        stage(name, "coco_person")
    assert not list(Path("models/coco_person/affinity").glob("*.safetensors"))
    stage("train_detector", "coco_person", "baseline")
    stage("score_candidates", "coco_person")
    stage("select_pseudo_gt", "coco_person")
    stage("train_detector", "coco_person", "ggn")
    for recipe in RECIPES:
        stage("predict", "coco_person", recipe)
        stage("evaluate", "coco_person", recipe)
    stage("compare", "coco_person")
    reports = Path("reports/coco_person")
    assert json.loads((reports / "pseudo_gt.json").read_text())["pseudo_masks"] == 4
    assert json.loads((reports / "affinity.json").read_text()) == {"affinity": "none"}
    assert (reports / "gallery.png").exists()
    for folder in folders:  # another test builds this row as it is shipped
        shutil.rmtree(folder)
    for folder in built:
        folder.rename(folder.with_suffix(""))


@pytest.mark.slow
def test_what_is_inherited_has_a_section(built: Callable[[str], Path], inside: Path) -> None:
    built("coco_uvo")
    write_params("coco_uvo")
    with pytest.raises(
        ValueError, match="section must be one of affinity, pseudo_gt, detector, grouping, got"
    ):
        stage("inherit", "coco_uvo", "evaluation", "models/coco_uvo/affinity")


@pytest.mark.slow
def test_weights_that_no_link_brings_are_asked_for(
    built: Callable[[str], Path], inside: Path
) -> None:
    built("imagenet")
    write_params("imagenet")
    brought = "data/imagenet/inherited/affinity/models"
    shutil.move(brought, "kept")
    try:
        with pytest.raises(
            ParamsError, match=r"have {split: imagenet, section: affinity, from: mod"
        ):
            stage("train_affinity", "imagenet")
    finally:
        shutil.move("kept", brought)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # DVC's own
def test_dvc_resolves_every_row_and_orders_rows_by_their_weights(tmp_path: Path) -> None:
    pytest.importorskip("dvc", reason="needs ggn[mlops]")
    from dvc.repo import Repo

    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--quiet"], cwd=tmp_path, check=True, timeout=120
    )
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    keys = ("split", "section", "from")
    links = [dict(zip(keys, link, strict=True)) for all_ in LINKS.values() for link in all_]
    document = {**PARAMS, "active": list(ROWS), "inherited": links}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(document, file)
    with Repo(str(tmp_path)) as repo:
        graph = repo.index.graph
        stages = {node.name: node for node in graph}
        assert {f"compare@{row}" for row in ROWS} <= set(stages)
        needed = reachable(graph, stages["compare@coco_uvo_imagenet"])
    assert {"train_detector@imagenet-ggn", "train_affinity@coco_uvo"} <= needed
    assert "train_detector@coco_uvo-ggn" not in needed


def reachable(graph: Any, start: Any) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for node in graph.successors(waiting.pop()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return {node.name for node in seen}
