"""Whose runs, and where they lie: moved checkouts, experiments, two users, proxies, drivers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ggn.tracking.backend import PENDING, TrackingError, connect, home, pending, tracking_uri
from ggn.tracking.delivery import sync
from ggn.tracking.journal import Journal, is_ours

mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


DELIVERS = """
import json, sys
from ggn.tracking.delivery import Delivery
from ggn.tracking.journal import Journal
from ggn.tracking.backend import connect, pending, tracking_uri
if sys.argv[1:]:
    given = {"experiment": "e", "name": sys.argv[1], "destination": "x", "tags": {}}
    journal = Journal.create(pending(), **given)
    journal.write_artifact("table.json", b"{}")
    journal.end("FINISHED")
    Delivery(journal.folder, tracking_uri()).push(ended=True)
client = connect(tracking_uri())
runs = client.search_runs([client.get_experiment_by_name("e").experiment_id])
files = {r.info.run_id: [f.path for f in client.list_artifacts(r.info.run_id)] for r in runs}
print(json.dumps({r.info.run_name: [r.info.artifact_uri, files[r.info.run_id]] for r in runs}))
"""


def runs_in(folder: Path, *new: str) -> dict[str, tuple[str, list[str]]]:
    """Deliver a run of this name, if any; the address and the artifacts of all runs by name."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DELIVERS, *new],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return {name: (run[0], run[1]) for name, run in json.loads(answer.stdout).items()}


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_a_store_follows_its_checkout(tmp_path: Path, way: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second place"
    first.mkdir()
    runs_in(first, "early")
    (shutil.move if way == "moved" else shutil.copytree)(first, second)
    runs = runs_in(second, "late")
    assert runs.keys() == {"early", "late"}
    for address, files in runs.values():
        assert address.startswith(f"{(second / 'mlruns/artifacts').as_uri()}/")
        assert files == ["table.json"]
    assert first.exists() == (way == "copied")
    if way == "copied":  # each has its own
        ((address, _),) = runs_in(first).values()
        assert address.startswith(f"{first.as_uri()}/")


@pytest.mark.parametrize("place", ["standalone/tmpabc", "tmpdef"])
def test_an_experiment_of_dvc_keeps_its_runs_in_its_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = tmp_path / ".dvc/tmp/exps" / place
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert (home(), pending()) == (tmp_path, tmp_path / PENDING)
    monkeypatch.chdir(tmp_path)
    assert (home(), pending()) == (Path(), PENDING)


def test_a_database_without_a_driver_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no driver for it .*http\(s\) address") as refusal:
        connect("postgresql://u:secret@127.0.0.1/x").search_experiments()
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    uri = "http://mlflow.example.org:5000"
    journal = Journal.create(PENDING, experiment="e", name="n", destination=uri, tags={})
    journal.end("FINISHED")
    (outcome,) = sync(PENDING, uri)
    assert outcome.state == "kept"
    assert "set no_proxy=mlflow.example.org" in str(outcome.error)
    assert journal.folder.exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_the_database_is_open_to_whom_the_umask_admits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, mode: int
) -> None:
    """Two people of a group share a checkout: each delivers."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(umask)
    try:
        connect(tracking_uri())
    finally:
        os.umask(before)
    assert Path("mlruns/mlflow.db").stat().st_mode & 0o777 == mode


@pytest.fixture
def common_folder() -> Iterator[Path]:
    """A folder that every user may write to."""
    if os.getuid() != 0:
        pytest.skip("needs root, who can be another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_another_users_kept_run_is_skipped_and_told_and_ours_is_ours(
    common_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first user's run lies in a folder of mode 755; the second one's sync skips it."""
    monkeypatch.chdir(common_folder)
    theirs = Journal.create(PENDING, experiment="e", name="a", destination="x", tags={})
    theirs.end("FINISHED")
    for folder in (Path("mlruns"), PENDING):
        folder.chmod(0o777)
    told = common_folder / "told"
    child = os.fork()
    if child == 0:  # nothing is imported from here on: this user may not read the environment
        try:
            os.setuid(65534)
            own = Journal.create(PENDING, experiment="e", name="b", destination="x", tags={})
            own.end("FINISHED")
            outcome = next(sync(PENDING, tracking_uri()))
            told.write_text(f"{outcome.state} | {outcome.error} | {is_ours(own.folder)}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    state, reason, own_is_ours = told.read_text().split(" | ")
    assert (state, own_is_ours) == ("kept", "True")
    assert reason.startswith("only user 0 may write to mlruns/pending/")
