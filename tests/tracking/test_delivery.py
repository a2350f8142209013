"""Runs reach the store, whole and once: over a real server that is killed, silent or refusing."""

from __future__ import annotations

import http.server
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ggn.tracking import delivery, open_run, runs
from ggn.tracking.backend import PENDING, TrackingError, UnreachableError, destination, failure
from ggn.tracking.delivery import Delivery, Outcome, sync
from ggn.tracking.journal import Journal, journals, read_events

mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")

ROOT = str(Path(__file__).parents[2])


STEPS = 12


def write_run(experiment: str, *, end: str | None = "FINISHED", steps: int = STEPS) -> Journal:
    """A run with metrics, a parameter given twice, one that is too long, and an artifact."""
    journal = Journal.create(
        PENDING, experiment=experiment, name="run", destination="here", tags={"split": "shapes"}
    )
    journal.params({"seed": 0, "data.seen": "x" * 7000})
    journal.params({"seed": 1})  # a key keeps its first value
    for step in range(steps):
        journal.metrics({"train/loss": 1 / (step + 1)}, step)
    journal.write_artifact("report.json", b'{"loss": 0}')
    if end is not None:
        journal.end(end)
    return journal


def runs_of(uri: str, experiment: str) -> list[Any]:
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def assert_whole(uri: str, experiment: str, status: str = "FINISHED", steps: int = STEPS) -> None:
    client = mlflow.MlflowClient(uri)
    (run,) = runs_of(uri, experiment)
    assert (run.info.run_name, run.info.status) == ("run", status)
    assert run.data.params == {"seed": "0", "data.seen": "x" * 6000}
    assert run.data.tags["split"] == "shapes"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == [(i, 1 / (i + 1)) for i in range(steps)]
    times = [m.timestamp for m in history]
    assert run.info.start_time <= times[0] <= times[-1] <= run.info.end_time
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.json"]


def states(outcomes: Iterator[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_all_of_a_run_reaches_a_server(server: Any) -> None:
    more_than_a_request_holds = 1001
    folder = write_run("whole", steps=more_than_a_request_holds).folder
    Delivery(folder, server.url).push(ended=True)
    assert not folder.exists()
    assert_whole(server.url, "whole", steps=more_than_a_request_holds)


class Interrupted:
    """A client that breaks with its n-th request: it is done, but the answer is lost."""

    def __init__(self, client: Any, requests: int) -> None:
        self._client, self._left = client, requests

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **keywords: Any) -> Any:
            answer = method(*arguments, **keywords)
            self._left -= 1
            if self._left == 0:
                raise mlflow.exceptions.MlflowException("Connection aborted")
            return answer

        return call


def test_a_delivery_interrupted_anywhere_and_repeated_gives_the_same(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests are answered: the run is there once, with every number once."""
    connect = delivery.connect
    monkeypatch.setitem(delivery._BATCH, "metrics", 8)  # two batches
    interrupted = []
    for requests in range(1, 11):
        experiment = f"interrupted-{requests}"
        folder = write_run(experiment).folder
        broken = lambda uri, n=requests: Interrupted(connect(uri), n)  # noqa: E731
        monkeypatch.setattr(delivery, "connect", broken)
        try:
            Delivery(folder, server.url).push(ended=True)
        except UnreachableError:
            interrupted.append(requests)
            assert folder.exists()
            monkeypatch.setattr(delivery, "connect", connect)
            Delivery(folder, server.url).push(ended=True)
        assert_whole(server.url, experiment)
    # 2 makes the experiment, which is then found; there are nine requests, or ten after that
    assert interrupted == [1, 3, 4, 5, 6, 7, 8, 9]


def test_training_goes_on_while_the_server_is_killed_and_sync_delivers_the_rest(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with open_run("killed-server", "run", tags={}, params={"seed": 0}) as journal:
        assert journal is not None
        journal.metrics({"train/loss": 2.0}, step=0)
        wait_for(lambda: [r for r in runs_of(server.url, "killed-server") if r.data.metrics])
        server.kill()
        journal.metrics({"train/loss": 1.0}, step=1)
    assert f"{server.url}: no server answers there; 1 run(s) kept in mlruns/pending" in caplog.text
    assert "`ggn track sync` delivers them" in caplog.text
    (outcome,) = sync(PENDING, server.url)
    assert outcome.state == "kept"
    assert str(outcome.error) == f"{server.url}: no server answers there"
    server.start()
    (cut_off,) = runs_of(server.url, "killed-server")
    assert (cut_off.info.status, cut_off.data.metrics) == ("RUNNING", {"train/loss": 2.0})
    assert states(sync(PENDING, server.url)) == ["delivered"]
    (run,) = runs_of(server.url, "killed-server")
    assert (run.info.run_id, run.info.status) == (cut_off.info.run_id, "FINISHED")
    history = mlflow.MlflowClient(server.url).get_metric_history(run.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == [(0, 2.0), (1, 1.0)]
    assert states(sync(PENDING, server.url)) == []


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.2)
    return value


KILLED = f"""
import sys, time
sys.path[:0] = [{ROOT!r}]
from ggn.tracking import open_run
with open_run("killed-run", "run", tags={{}}, params={{}}) as journal:
    journal.metrics({{"loss": 1.0}})
    print("written", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_is_delivered_as_killed_by_the_process_that_it_leaves(server: Any) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        output.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not journals(PENDING))
    (run,) = runs_of(server.url, "killed-run")
    assert (run.info.status, run.data.metrics) == ("KILLED", {"loss": 1.0})


@pytest.fixture
def nobody_delivers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The next `n` processes that are to deliver end at once, as those that find another one do."""

    def idle(count: int) -> None:
        start, left = runs._start_delivery, iter(range(count))

        def start_or_not(folder: Path) -> subprocess.Popen[bytes] | None:
            if next(left, None) is None:
                return start(folder)
            return subprocess.Popen([sys.executable, "-c", ""])

        monkeypatch.setattr(runs, "_start_delivery", start_or_not)

    return idle


def test_the_process_that_delivered_one_run_delivers_the_next(
    local_store: str, nobody_delivers: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Loading MLflow takes seconds: once for all stages of a `dvc repro`."""
    with open_run("first", "run", tags={}, params={}):
        pass
    nobody_delivers(1000)
    with open_run("second", "run", tags={}, params={}) as journal:
        assert journal is not None
        journal.metrics({"loss": 1.0})
    (run,) = runs_of(local_store, "second")
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})
    assert caplog.text == ""


def test_where_that_process_has_just_ended_another_one_is_started(
    local_store: str, nobody_delivers: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    nobody_delivers(1)
    with open_run("alone", "run", tags={}, params={}):
        pass
    (run,) = runs_of(local_store, "alone")
    assert run.info.status == "FINISHED"
    assert caplog.text == ""


def test_runs_kept_from_before_are_delivered_with_the_next(local_store: str) -> None:
    write_run("meant-for-another-store")
    journal = Journal.create(
        PENDING, experiment="kept", name="run", destination=destination(local_store), tags={}
    )
    journal.end("FINISHED")
    with open_run("next", "run", tags={}, params={}):
        pass
    wait_for(lambda: not journal.folder.exists())
    (run,) = runs_of(local_store, "kept")
    assert run.info.status == "FINISHED"
    assert len(journals(PENDING)) == 1


def test_a_run_that_goes_on_is_delivered_up_to_now(server: Any) -> None:
    journal = write_run("going-on", end=None)
    assert states(sync(PENDING, server.url)) == ["running"]
    (run,) = runs_of(server.url, "going-on")
    assert run.info.status == "RUNNING"
    journal.end("FAILED")
    assert states(sync(PENDING, server.url)) == ["delivered"]
    assert_whole(server.url, "going-on", "FAILED")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_answers_holds_up_nothing_for_long(
    checkout: Path,
    silent_server: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(runs, "_SERVER_SECONDS", 20.0)
    started = time.monotonic()
    with open_run("silent", "run", tags={}, params={}) as journal:
        assert journal is not None
        assert time.monotonic() - started < 1
        journal.metrics({"loss": 1.0})
        assert time.monotonic() - started < 1
    assert f"{silent_server}: no answer within 1 seconds" in caplog.text
    for _ in range(2):
        write_run("silent")
    started = time.monotonic()
    assert states(sync(PENDING, silent_server)) == ["kept"] * 3
    assert time.monotonic() - started < 5  # asked once, not three times
    assert len(journals(PENDING)) == 3


def test_a_delivery_without_end_is_ended(
    checkout: Path,
    silent_server: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    monkeypatch.setattr(runs, "_SERVER_SECONDS", 0.5)
    with open_run("endless", "run", tags={}, params={}):
        pass
    assert f"{silent_server}: not done within 0.5 seconds; 1 run(s) kept" in caplog.text


class Unauthorized(http.server.BaseHTTPRequestHandler):
    """What MLflow's authentication answers to a wrong password."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def test_a_wrong_password_is_said_to_be_one_and_shown_nowhere(checkout: Path) -> None:
    write_run("refused")
    with http.server.HTTPServer(("127.0.0.1", 0), Unauthorized) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        uri = f"http://ann:secret@127.0.0.1:{refusing.server_port}"
        (outcome,) = sync(PENDING, uri)
        refusing.shutdown()
    assert str(outcome.error) == (
        f"{destination(uri)}: user name or password refused; set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD"
    )
    assert "secret" not in str(outcome.error)
    assert len(journals(PENDING)) == 1


def test_addresses_are_shown_without_password() -> None:
    assert destination("http://ann:secret@host:5000/x") == "http://host:5000/x"
    assert destination("sqlite:///a/mlflow.db") == "sqlite:///a/mlflow.db"
    error = failure("http://a:secret@h", RuntimeError("bad http://a:secret@h/api\nmore"))
    assert str(error) == "http://h: bad http://h/api"


TWO = f"""
import sys
sys.path[:0] = [{ROOT!r}]
from ggn.tracking import open_run
with open_run("two", sys.argv[1], tags={{}}, params={{}}) as journal:
    for step in range(500):
        journal.metrics({{"loss": 1.0}}, step)
"""


def test_two_runs_at_once_share_the_local_database(local_store: str) -> None:
    command = [sys.executable, "-c", TWO]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in ("a", "b")]
    for process in both:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    found = runs_of(local_store, "two")
    assert sorted(run.info.run_name for run in found) == ["a", "b"]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert journals(PENDING) == []


def test_a_database_that_cannot_be_written_keeps_the_run(local_store: str) -> None:
    journal = write_run("kept")
    Path("mlruns/mlflow.db").write_bytes(b"no database" * 1000)
    (outcome,) = sync(PENDING, local_store)
    assert outcome.state == "kept"
    assert str(outcome.error).startswith(f"{local_store}: ")
    assert "file is not a database" in str(outcome.error)
    assert len(read_events(journal.folder).lines) == STEPS + 5


def test_what_is_no_journal_is_named_and_the_rest_delivered(local_store: str) -> None:
    (PENDING / "0-broken").mkdir(parents=True)
    (PENDING / "0-broken" / "events.jsonl").write_text("{}\n")
    write_run("rest")
    broken, rest = sync(PENDING, local_store)
    assert isinstance(broken.error, TrackingError)
    assert "0-broken/events.jsonl: is not the journal of a run" in str(broken.error)
    assert rest.state == "delivered"
    assert_whole(local_store, "rest")
