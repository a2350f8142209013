"""The tables that git carries as runs of the zoo: what a fresh clone shows without a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from PIL import Image

from ggn.evaluation.average_recall import BUDGETS, UNDEFINED
from ggn.tracking.backend import ZOO
from ggn.tracking.recorded import import_recorded
from ggn.tracking.rows import record_row

TABLE = {**{f"unseen/mask_AR_{k}": k / 2000 for k in BUDGETS}, "unseen/mask_AP": UNDEFINED}


@pytest.fixture
def reports(local_store: str) -> Path:
    """A row as `compare` leaves it."""
    folder = Path("reports") / "tiny"
    folder.mkdir(parents=True)
    write(0.5)
    Image.new("RGB", (8, 8)).save(folder / "gallery.png")
    return folder.parent


def write(precision: float) -> None:
    tables = {r: {**TABLE, "unseen/box_AP_50": precision} for r in ("baseline", "ggn")}
    text = json.dumps({"protocol": "budget", **tables})
    Path("reports/tiny/comparison.json").write_text(text)


def runs(store: str, source: str) -> dict[str, Any]:
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name(ZOO)
    found = client.search_runs([experiment.experiment_id], f"tags.source = '{source}'")
    return {run.info.run_name: run for run in found}


def test_a_recorded_table_is_a_run_with_its_curve_and_picture(
    local_store: str, reports: Path
) -> None:
    assert import_recorded(reports)[:2] == (2, 0)
    found = runs(local_store, "recorded")
    assert found.keys() == {"tiny baseline (recorded)", "tiny ggn (recorded)"}
    ggn = found["tiny ggn (recorded)"]
    assert ggn.data.metrics["unseen/box_AP_50"] == 0.5
    assert "unseen/mask_AP" not in ggn.data.metrics, "there is no object to measure it on"
    assert ggn.data.tags.items() >= {"split": "tiny", "recipe": "ggn", "protocol": "budget"}.items()
    client = mlflow.MlflowClient(local_store)
    names = {file.path for file in client.list_artifacts(ggn.info.run_id)}
    assert names == {"gallery.png", "recall.png"}


def test_importing_twice_is_importing_once_and_a_new_table_replaces_the_old_one(
    local_store: str, reports: Path
) -> None:
    import_recorded(reports)
    assert import_recorded(reports)[:2] == (2, 0)
    write(0.75)
    assert import_recorded(reports)[:2] == (2, 2)
    values = [
        run.data.metrics["unseen/box_AP_50"] for run in runs(local_store, "recorded").values()
    ]
    assert values == [0.75, 0.75]


def test_a_table_that_an_own_run_has_is_left_to_that_run(local_store: str, reports: Path) -> None:
    import_recorded(reports)
    table = json.loads((reports / "tiny/comparison.json").read_text())["ggn"]
    record_row("tiny", "ggn", table, protocol="budget", tags={}, params={}, pictures=[])
    assert import_recorded(reports)[:2] == (1, 1)
    assert runs(local_store, "recorded").keys() == {"tiny baseline (recorded)"}
    assert runs(local_store, "ours").keys() == {"tiny ggn"}


def test_intervals_come_along(local_store: str, reports: Path) -> None:
    path = reports / "tiny/comparison.json"
    ends = {"unseen/mask_AR_100": [0.04, 0.06]}
    intervals = {"level": 0.95, "baseline": ends, "ggn": ends, "difference": {}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "intervals": intervals}))
    assert import_recorded(reports)[:2] == (2, 0)
    metrics = runs(local_store, "recorded")["tiny ggn (recorded)"].data.metrics
    assert metrics["unseen/mask_AR_100_low"] == 0.04
    assert metrics["unseen/mask_AR_100_high"] == 0.06
    assert not {name for name in metrics if name.startswith("interval")}


def test_without_reports_there_is_nothing_to_show(local_store: str, tmp_path: Path) -> None:
    assert import_recorded(tmp_path / "nowhere")[:2] == (0, 0)


def test_the_command_says_what_is_there(
    local_store: str, reports: Path, ggn: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ggn("track", "recorded") == 0
    assert "2 recorded runs; 0 outdated ones deleted" in capsys.readouterr().out
