"""Runs of the zoo: what they hold, and when two of them are the same."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ggn.evaluation.budget import BUDGETS
from ggn.evaluation.report import recall_curves
from ggn.tracking.backend import PENDING, ZOO
from ggn.tracking.journal import journals, read_events, read_header
from ggn.tracking.published import import_published
from ggn.tracking.rows import record_row

mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")

TABLE = {f"unseen/mask_AR_{k}": round(k / 2000, 4) for k in BUDGETS}
TABLE |= {f"unseen/box_AR_{k}": -1.0 for k in BUDGETS} | {"unseen/mask_AP": 0.125}


def record(**changed: Any) -> None:
    given: dict[str, Any] = {
        "split": "shapes",
        "recipe": "ggn",
        "metrics": TABLE,
        "protocol": "budget",
        "tags": {"git_commit": "abc", "input.data/shapes/prepared": "123.dir"},
        "params": {"seed": 0, "detector": {"rpn": {"samples": 64}}},
        "pictures": [Path("gallery.png")],
        **changed,
    }
    record_row(given.pop("split"), given.pop("recipe"), given.pop("metrics"), **given)


@pytest.fixture
def gallery(checkout: Path) -> Path:
    Image.new("RGB", (8, 8)).save("gallery.png")
    return checkout


def test_a_row_is_its_table_its_curve_its_pictures_and_its_provenance(gallery: Path) -> None:
    record()
    (folder,) = journals(PENDING)
    header = read_header(folder)
    assert (header.experiment, header.name) == (ZOO, "shapes ggn")
    assert header.tags == {
        "git_commit": "abc",
        "input.data/shapes/prepared": "123.dir",
        "split": "shapes",
        "recipe": "ggn",
        "protocol": "budget",
        "source": "ours",
    }
    events = read_events(folder).lines
    params = {"protocol": "budget", "seed": "0", "detector.rpn.samples": "64"}
    assert events[1]["params"] == params
    defined = {key: value for key, value in TABLE.items() if value != -1}
    assert events[2]["metrics"] == defined
    curve = [(e["step"], e["metrics"]) for e in events[3:-3]]
    assert curve == [(k, {"unseen/mask_AR": round(k / 2000, 4)}) for k in BUDGETS]
    assert events[-3:-1] == [{"artifact": "recall.png"}, {"artifact": "gallery.png"}]
    with Image.open(io.BytesIO((folder / "artifacts" / "recall.png").read_bytes())) as drawn:
        assert np.asarray(drawn.convert("L")).std() > 10


def test_curves_are_those_that_are_defined() -> None:
    assert recall_curves(TABLE) == {"unseen/mask_AR": [(k, round(k / 2000, 4)) for k in BUDGETS]}
    assert recall_curves({"loss": 1.0}) == {}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"tags": {"git_commit": "def", "input.data/shapes/prepared": "123.dir"}}, True),
        ({"tags": {"git_commit": "abc", "input.data/shapes/prepared": "456.dir"}}, False),
        ({"recipe": "baseline"}, False),
        ({"protocol": "plain"}, False),
        ({"params": {"seed": 1}}, False),
        ({"metrics": {**TABLE, "unseen/mask_AP": 0.126}}, False),
    ],
)
def test_the_same_result_of_the_same_things_is_the_same_run(
    gallery: Path, changed: dict[str, Any], same: bool
) -> None:
    record()
    record(**changed)
    assert len(journals(PENDING)) == (1 if same else 2)


@dataclass(frozen=True)
class Number:
    split: str
    method: str
    metric: str
    value: float
    protocol: str = "budget"
    source: str = "Somebody et al."
    measured_on: str = "COCO val2017"
    lowest: float | None = None
    note: str = ""


MASK, BOX = "unseen/mask_AR_100", "unseen/box_AR_100"
NUMBERS = [
    Number("coco_voc", "GGN", MASK, 0.287),
    Number("coco_voc", "UDOS", MASK, 0.343, lowest=0.316),
    Number("coco_voc", "UDOS", BOX, 0.4),
    Number("coco_person", "GGN", MASK, 0.209),
]


def every_published_run(store: str) -> list[Any]:
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name(ZOO)
    return list(client.search_runs([experiment.experiment_id], "tags.source = 'published'"))


def published_runs(store: str) -> dict[str, Any]:
    return {run.info.run_name: run for run in every_published_run(store)}


def test_importing_published_numbers_twice_is_importing_them_once(local_store: str) -> None:
    assert import_published(NUMBERS)[:2] == (3, 0)
    first = published_runs(local_store)
    assert first.keys() == {
        f"{name} (published)" for name in ("coco_voc GGN", "coco_voc UDOS", "coco_person GGN")
    }
    udos = first["coco_voc UDOS (published)"]
    assert udos.data.metrics == {MASK: 0.343, f"{MASK}_lowest": 0.316, BOX: 0.4}
    assert udos.data.params == {"protocol": "budget"}
    assert udos.data.tags.items() >= {"split": "coco_voc", "recipe": "UDOS"}.items()
    assert udos.data.tags["paper"] == "Somebody et al."
    assert udos.data.tags["measured_on"] == "COCO val2017"
    assert "note" not in udos.data.tags
    assert udos.info.status == "FINISHED"
    runs, deleted, page = import_published(NUMBERS)
    assert (runs, deleted) == (3, 0)
    again = published_runs(local_store)
    assert {r.info.run_id for r in again.values()} == {r.info.run_id for r in first.values()}
    assert "/runs?viewStateShareKey=recall" in page


def test_a_corrected_number_replaces_the_old_one_and_leaves_our_runs(local_store: str) -> None:
    Image.new("RGB", (8, 8)).save("gallery.png")
    record()
    import_published(NUMBERS)
    corrected = [replace(NUMBERS[0], value=0.288), *NUMBERS[1:3]]
    assert import_published(corrected)[:2] == (2, 2)
    runs = published_runs(local_store)
    assert runs.keys() == {f"coco_voc {name} (published)" for name in ("GGN", "UDOS")}
    assert runs["coco_voc GGN (published)"].data.metrics == {MASK: 0.288}
    client = mlflow.MlflowClient(local_store)
    experiment = client.get_experiment_by_name(ZOO)
    (ours,) = client.search_runs([experiment.experiment_id], "tags.source = 'ours'")
    assert ours.data.metrics["unseen/mask_AR_100"] == 0.05
    files = {file.path for file in client.list_artifacts(ours.info.run_id)}
    assert files == {"gallery.png", "recall.png"}


def test_the_command_imports_the_zoos_numbers(
    local_store: str, ggn: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from ggn.zoo.numbers import PUBLISHED

    assert ggn("track", "published") == 0
    runs = every_published_run(local_store)
    said = capsys.readouterr().out
    assert f"{len(runs)} published runs; 0 outdated ones deleted" in said
    values = {key: value for r in runs for key, value in r.data.metrics.items()}
    assert all(0 < value < 1 for value in values.values())
    names = [key for r in runs for key in r.data.metrics if not key.endswith("_lowest")]
    assert len(names) == len(PUBLISHED)
    assert {r.data.tags["measured_on"] for r in runs} == {n.measured_on for n in PUBLISHED}


def test_sources_that_contradict_each_other_are_runs_of_their_own(local_store: str) -> None:
    low = Number("coco_voc", "Mask R-CNN", MASK, 0.082, "per_class", "one README", note="as it was")
    high = replace(low, value=0.177, source="another README", note="")
    assert import_published([low, high])[:2] == (2, 0)
    found = {run.data.tags["paper"]: run for run in every_published_run(local_store)}
    assert found["one README"].data.metrics == {MASK: 0.082}
    assert found["one README"].data.tags["note"] == "as it was"
    assert found["another README"].data.metrics == {MASK: 0.177}


def test_the_page_groups_runs_by_row(local_store: str) -> None:
    import_published(NUMBERS)
    experiment = mlflow.MlflowClient(local_store).get_experiment_by_name(ZOO)
    view = json.loads(experiment.tags["mlflow.sharedViewState.recall"])
    assert view["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "split"}]


def test_the_command_says_what_is_kept_and_where(
    checkout: Path,
    ggn: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert ggn("track", "sync") == 0
    assert "nothing is left to deliver" in capsys.readouterr().out
    Image.new("RGB", (8, 8)).save("gallery.png")
    record()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert ggn("track", "sync") == 1
    said = capsys.readouterr()
    assert said.err == "model zoo: shapes ggn: kept; http://127.0.0.1:9: no server answers there\n"
    assert said.out == "http://127.0.0.1:9, 1 kept in mlruns/pending\n"
