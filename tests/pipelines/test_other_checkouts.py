"""The code that runs is the code that lies here: in a worktree, a copy, an experiment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MARKER = "code of this folder"
PRINTS = f"\nprint('{MARKER}')\n"


@pytest.fixture
def other(make_checkout: Callable[[], Any]) -> Any:
    return make_checkout()


def test_a_stage_in_a_worktree_runs_the_code_of_the_worktree(other: Any) -> None:
    """The environment is that of this checkout, the current folder is a worktree of another."""
    worktree = other.folder.parent / "worktree"
    subprocess.run(["git", "worktree", "add", worktree], cwd=other.folder, check=True)
    other.folder = worktree
    other.edit("pipelines/prepare.py", PRINTS)
    answer = other.run("-m", "pipelines.prepare", "shapes")
    assert answer.returncode == 0, answer.stderr
    assert MARKER in answer.stdout
    assert (worktree / "data/shapes/prepared/split.json").exists()


def test_what_a_stage_imports_is_that_of_the_folder_too(other: Any) -> None:
    other.edit("ggn/data/prepare.py", PRINTS)
    assert MARKER in other.run("-m", "pipelines.prepare", "shapes").stdout


@pytest.mark.parametrize(
    ("source", "stage", "names"),
    [
        ("ggn/grouping/_trees.hpp", "evaluate_affinity", "_sums.hpp, _trees.hpp, _kernels.pyx"),
        ("ggn/evaluation/_overlaps.hpp", "evaluate_affinity", "_overlaps.hpp, _overlaps.pyx"),
    ],
)
def test_a_compiled_module_of_other_sources_is_refused_in_one_sentence(
    other: Any, source: str, stage: str, names: str
) -> None:
    other.edit(source, "// edited\n")
    answer = other.run("-m", f"pipelines.{stage}", "shapes")
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert names in line
    assert "ggn_compiled" in line  # the module that does not fit
    assert str(other.folder) in line  # the sources
    assert f"make -C {other.folder} setup" in line


@pytest.mark.parametrize(
    "command", [["zoo"], ["track", "sync"], ["check", "a.json"]], ids=lambda words: words[0]
)
def test_the_program_of_another_checkout_is_refused(other: Any, command: list[str]) -> None:
    (other.folder / "data").mkdir()
    other.folder = other.folder / "data"
    answer = other.run("ggn", *command)
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert f"is in the checkout {other.folder.parent}," in line
    assert f"the running code is that of {ROOT}" in line
    assert f"make -C {other.folder.parent} setup" in line


def test_python_m_ggn_runs_the_code_of_the_folder(other: Any) -> None:
    other.edit("ggn/cli/app.py", f"\nout.print('{MARKER}')\n")
    answer = other.run("-m", "ggn", "--help")
    assert answer.returncode == 0, answer.stderr
    assert MARKER in answer.stdout


def test_outside_of_any_checkout_the_program_works(other: Any, tmp_path: Path) -> None:
    other.folder = tmp_path
    answer = other.run("ggn", "check", "missing.json")
    assert "missing.json: file: does not exist" in answer.stdout


def worked_off(other: Any) -> str:
    """What a queued experiment prints, with other code in the checkout by the time that it runs."""
    subprocess.run(["git", "checkout", "--quiet", "pipelines"], cwd=other.folder, check=True)
    assert MARKER not in (other.folder / "pipelines/prepare.py").read_text("utf-8")
    started = other.run("-m", "dvc", "queue", "start")
    assert started.returncode == 0, started.stdout + started.stderr
    deadline = time.monotonic() + 240
    while "Success" not in (status := other.run("-m", "dvc", "queue", "status").stdout):
        assert "Failed" not in status, other.run("-m", "dvc", "queue", "logs", "mine").stdout
        assert time.monotonic() < deadline, status
        time.sleep(1)
    said: str = other.run("-m", "dvc", "queue", "logs", "mine").stdout
    other.run("-m", "dvc", "queue", "stop", "--kill")
    return said


@pytest.mark.slow
@pytest.mark.parametrize("is_queued", [False, True], ids=["temp", "queue"])
def test_an_experiment_in_a_folder_of_its_own_runs_its_code_and_keeps_its_run(
    other: Any, is_queued: bool
) -> None:
    """DVC copies its code to .dvc/tmp, which it deletes with all that lies there."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("dvc")
    other.edit("pipelines/prepare.py", PRINTS)
    words = ["--queue" if is_queued else "--temp", "--name=mine", "prepare@shapes"]
    answer = other.run("-m", "dvc", "exp", "run", *words)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    said = answer.stdout + answer.stderr
    if is_queued:
        said = worked_off(other)
    assert MARKER in said
    client = mlflow.MlflowClient(f"sqlite:///{other.folder}/mlruns/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "shapes")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("prepare", "FINISHED")
    assert run.info.artifact_uri.startswith((other.folder / "mlruns").as_uri())
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["prepare.json"]
