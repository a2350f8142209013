"""The main job as a user runs it: `dvc repro` on a tiny synthetic split, killed and changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

pytest.importorskip("dvc", reason="needs ggn[mlops]")

ROOT = Path(__file__).parents[1]
SOURCES = (
    *("ggn", "pipelines", "dvc.yaml", "params.yaml"),
    *(".dvc/config", ".dvc/plots", ".dvcignore", ".gitignore"),
)
PYCACHE = shutil.ignore_patterns("__pycache__", "*.py[co]")
yaml = YAML()

pytestmark = pytest.mark.slow


def make_checkout(folder: Path) -> Path:
    """Lay out what a fresh clone holds, with a split so small that its stages take seconds."""
    for name in SOURCES:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=PYCACHE)
        else:
            shutil.copy(source, target)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    with changed_params(folder) as params:
        shapes = params["splits"]["shapes"]
        shapes["data"]["shapes"] = {"train_images": 10, "val_images": 4, "max_size": 112}
        shapes["pseudo_gt"]["min_score"] = None  # a network trained for seconds reaches none
        shapes["affinity"] |= {
            "epochs": 1,
            "warmup_steps": 0,
            "checkpoint_steps": 1,
            "log_steps": 1,
        }
        shapes["detector"] |= {
            "epochs": 4,
            "warmup_steps": 0,
            "checkpoint_steps": 1,
            "log_steps": 1,
        }
    return folder


class changed_params:  # noqa: N801 (used as a function)
    """Read params.yaml of a checkout, and write what the body made of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "params.yaml"

    def __enter__(self) -> Any:
        self.document = yaml.load(self.path)
        return self.document

    def __exit__(self, *_: object) -> None:
        yaml.dump(self.document, self.path)


def start_repro(
    folder: Path, *before: str, command: Sequence[str] = ("dvc", "repro"), **more: str
) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        **more,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.Popen(
        [*before, sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def repro(folder: Path, *before: str, **more: str) -> tuple[list[str], str]:
    """Run `dvc repro`; return the stages that ran, in order, and all that was printed."""
    process = start_repro(folder, *before, **more)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    marker = "Running stage '"
    stages = [line.split("'")[1] for line in output.splitlines() if line.startswith(marker)]
    return stages, output


def kill_when(folder: Path, ready: Callable[[], bool]) -> None:
    """Start `dvc repro` and `kill -9` it and its stage as soon as `ready` says so."""
    process = start_repro(folder)
    deadline = time.monotonic() + 300
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the stage never got as far"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {".gitignore", "card.json"}
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """A checkout after its first `dvc repro`, with the stages that ran and what was printed."""
    folder = make_checkout(tmp_path_factory.mktemp("checkout"))
    return folder, *repro(folder)


def dvc_json(folder: Path, *words: str) -> Any:
    """What a command of DVC prints as JSON."""
    command = [sys.executable, "-m", "dvc", *words, "--json"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return json.loads(said)


def test_dvc_shows_the_table_the_quality_of_the_pseudo_gt_and_the_curves(
    finished: tuple[Path, list[str], str], tmp_path: Path
) -> None:
    folder, *_ = finished
    reports = folder / "reports" / "shapes"
    comparison = json.loads((reports / "comparison.json").read_text())
    shown = dvc_json(folder, "metrics", "show")[""]["data"]
    assert len(shown) == 2
    assert shown["reports/shapes/pseudo_gt.json"]["data"].keys() >= {"precision", "recall"}
    table = shown["reports/shapes/table.json"]["data"]
    assert table.keys() == {"baseline", "ggn"}
    for recipe, values in table.items():
        assert len(values) == 6
        assert values.items() <= comparison[recipe].items()
    plots = dvc_json(folder, "plots", "show", "--out", str(tmp_path / "page"))["data"]
    (recall,) = plots["reports/shapes/recall.json"]
    points = recall["content"]["data"]["values"]
    assert {p["recipe"] for p in points} == {"baseline", "ggn"}
    for point in points:
        assert point["AR"] == comparison[point["recipe"]][f"{point['curve']}_{point['k']}"]
    for network in ("affinity", "baseline", "ggn"):
        (curve,) = plots[f"reports/shapes/{network}/curve.json"]
        drawn = curve["content"]
        assert drawn["transform"][0]["fold"] == ["loss", "lr"]
        points = json.loads((reports / network / "curve.json").read_text())
        losses = [(point["step"], point["loss"]) for point in drawn["data"]["values"]]
        assert losses == [(point["step"], point["loss"]) for point in points]
        assert len(points) > 1


def test_images_in_comparison_out(finished: tuple[Path, list[str], str]) -> None:
    folder, stages, output = finished
    reports = folder / "reports" / "shapes"
    comparison = json.loads((reports / "comparison.json").read_text())
    assert comparison["protocol"] == "budget"
    assert comparison["baseline"].keys() == comparison["ggn"].keys()
    for partition in ("seen", "unseen", "all"):
        assert 0 <= comparison["ggn"][f"{partition}/mask_AR_100"] <= 1
    with Image.open(reports / "gallery.png") as gallery:
        assert np.asarray(gallery.convert("RGB")).std() > 10
    assert "unseen/mask_AR_100" in output  # the table ends the run
    assert stages[0] == "prepare@shapes"
    assert stages[-1] == "compare@shapes"
    assert sorted(stages) == [
        "compare@shapes",
        "evaluate@shapes-baseline",
        "evaluate@shapes-ggn",
        "evaluate_affinity@shapes",
        "extract_regions@shapes",
        "predict@shapes-baseline",
        "predict@shapes-ggn",
        "prepare@shapes",
        "score_candidates@shapes",
        "select_pseudo_gt@shapes",
        "train_affinity@shapes",
        "train_detector@shapes-baseline",
        "train_detector@shapes-ggn",
    ]


def test_another_machine_writes_the_same_lock(
    finished: tuple[Path, list[str], str], tmp_path: Path
) -> None:
    """One core instead of all, threads allowed, other processes that read the images."""
    other = make_checkout(tmp_path / "other")
    with changed_params(other) as params:
        shapes = params["splits"]["shapes"]
        for section in ("affinity", "detector"):
            shapes[section]["workers"] = 2 - shapes[section].get("workers", 0)
    core = str(min(os.sched_getaffinity(0)))
    threads = {f"{library}_NUM_THREADS": "4" for library in ("OMP", "OPENBLAS", "MKL")}
    repro(other, "taskset", "--cpu-list", core, **threads)
    locks = [yaml.load(folder / "dvc.lock") for folder in (finished[0], other)]
    for lock in locks:
        for stage in lock["stages"].values():
            for section in stage.get("params", {}).get("params.yaml", {}).values():
                if isinstance(section, dict):
                    section.pop("workers", None)  # all that differs
    assert locks[0] == locks[1]


def running(folder: Path) -> dict[str, int]:
    """What runs in a checkout: the last words of its stages and calls of DVC, their niceness."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if (process / "cwd").readlink() == folder.resolve():
                words = (process / "cmdline").read_text().split("\0")[:-1]
                if "ggn.tracking" not in words:
                    nice = os.getpriority(os.PRIO_PROCESS, int(process.name))
                    found[" ".join(words[-2:])] = nice
    return found


def test_both_branches_side_by_side_write_the_same_lock_and_end_with_what_started_them(
    finished: tuple[Path, list[str], str], tmp_path: Path
) -> None:
    folder = make_checkout(tmp_path / "other")
    process = start_repro(folder, command=["pipelines.repro"])
    both = {"shapes baseline", "pipelines.train_affinity shapes"}
    deadline = time.monotonic() + 120
    while not both <= (seen := running(folder)).keys():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    assert seen["shapes baseline"] > seen["pipelines.train_affinity shapes"]
    process.kill()  # it alone, as the system does when memory is short
    process.communicate()
    while running(folder):
        assert time.monotonic() < deadline, running(folder)
        time.sleep(0.05)
    again = start_repro(folder, command=["pipelines.repro"])
    output, _ = again.communicate(timeout=600)
    assert again.returncode == 0, output
    assert "baseline: Running stage 'train_detector@shapes-baseline'" in output
    assert "ERROR" not in output
    assert "ERROR" not in output
    locks = [yaml.load(place / "dvc.lock") for place in (finished[0], folder)]
    assert locks[0] == locks[1]


def test_every_stage_is_a_finished_mlflow_run(finished: tuple[Path, list[str], str]) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")
    folder, stages, _ = finished
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "shapes")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == len(stages)
    assert {run.info.status for run in runs} == {"FINISHED"}
    by_name = {run.info.run_name: run for run in runs}
    training = by_name["train_detector-ggn"]
    (training_hash,) = (
        value
        for key, value in training.data.tags.items()
        if key == "input.data/shapes/training/ggn.json"
    )
    lock = yaml.load(folder / "dvc.lock")
    outs = lock["stages"]["select_pseudo_gt@shapes"]["outs"]
    assert training_hash in {out["md5"] for out in outs}
    assert len(client.get_metric_history(training.info.run_id, "train/loss")) > 1


def test_each_recipe_is_a_row_of_the_model_zoo(finished: tuple[Path, list[str], str]) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")
    folder = finished[0]
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "model zoo")
    rows = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    comparison = json.loads((folder / "reports/shapes/comparison.json").read_text())
    assert rows.keys() == {"shapes baseline", "shapes ggn"}
    for recipe in ("baseline", "ggn"):
        row, name = rows[f"shapes {recipe}"], "unseen/mask_AR_100"
        assert row.data.metrics[name] == comparison[recipe][name]
        ends = [row.data.metrics[f"{name}_{end}"] for end in ("low", "high")]
        assert ends == comparison["intervals"][recipe][name]
        assert row.data.params["detector.epochs"] == "4.0"
        assert row.data.tags["input.data/shapes/prepared"].endswith(".dir")
        curve = client.get_metric_history(row.info.run_id, "unseen/mask_AR")
        assert [point.step for point in curve][:3] == [10, 20, 30]
        files = {file.path for file in client.list_artifacts(row.info.run_id)}
        assert files == {"gallery.png", "recall.png"}
    assert list((folder / "mlruns/pending").glob("[!.]*")) == []


def test_provenance_of_every_training_object(finished: tuple[Path, list[str], str]) -> None:
    folder, _, _ = finished
    data = folder / "data" / "shapes"
    baseline, ggn = (
        json.loads((data / "training" / f"{name}.json").read_text()) for name in ("baseline", "ggn")
    )
    seen = set(json.loads((data / "prepared" / "split.json").read_text())["seen"])
    assert {record["category_id"] for record in baseline["annotations"]} <= seen
    assert len(baseline["images"]) == len(ggn["images"]) == 10
    sources = [record["source"] for record in ggn["annotations"]]
    assert sources.count("annotation") == len(baseline["annotations"])
    assert sources.count("pseudo") > 0
    assert len({record["id"] for record in ggn["annotations"]}) == len(sources)


def test_a_second_repro_does_nothing(finished: tuple[Path, list[str], str]) -> None:
    started = time.monotonic()
    stages, output = repro(finished[0])
    assert stages == []
    assert "up to date" in output
    assert time.monotonic() - started < 60


@pytest.fixture
def copy(finished: tuple[Path, list[str], str], tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished checkout, to change; DVC's cache comes along."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder, symlinks=True)
    yield folder
    shutil.rmtree(folder)


def test_changing_top_k_runs_the_selection_and_what_follows(copy: Path) -> None:
    with changed_params(copy) as params:
        params["splits"]["shapes"]["pseudo_gt"]["top_k"] = 1
    stages, _ = repro(copy)
    assert stages == [
        "score_candidates@shapes",
        "select_pseudo_gt@shapes",
        "train_detector@shapes-ggn",
        "predict@shapes-ggn",
        "evaluate@shapes-ggn",
        "compare@shapes",
    ]


def test_killed_stages_go_on_where_they_stopped(copy: Path) -> None:
    report, curve = (copy / "reports/shapes" / f for f in ("extraction.json", "ggn/curve.json"))
    whole, drawn = json.loads(report.read_text()), curve.read_bytes()
    undisturbed = {
        name: contents(copy / name)
        for name in ("data/shapes/candidates", "models/shapes/ggn", "data/shapes/predictions/ggn")
    }
    for name in undisturbed:
        shutil.rmtree(copy / name)
    shutil.rmtree(copy / ".dvc" / "cache")
    shutil.rmtree(copy / ".dvc" / "tmp")
    (copy / "dvc.lock").unlink()
    finished_images = lambda: lines(copy / ".scratch" / "extract_regions")  # noqa: E731
    kill_when(copy, lambda: 2 <= finished_images() < 10)
    assert 2 <= finished_images() < 10
    checkpoints = copy / ".scratch" / "train_detector" / "shapes-ggn"
    kill_when(copy, lambda: any(checkpoints.rglob("last.ckpt")))
    repro(copy)
    for name, files in undisturbed.items():
        assert contents(copy / name) == files, f"{name} differs from the undisturbed run's"
    assert json.loads(report.read_text()) == whole
    assert curve.read_bytes() == drawn
    assert whole["images"] == 10
    assert whole["candidates"] > 0
    assert [path for path in (copy / ".scratch").rglob("*") if path.is_file()] == []


def lines(folder: Path) -> int:
    """Number of finished images in an extraction's scratch logs."""
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.log"))
