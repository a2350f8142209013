"""What tests of tracking share: an empty MLflow database, and a real server that can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ENVIRONMENT = {
    **os.environ,
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
TRACKING_SERVER = [
    *("server", "--workers", "1"),
    *("--backend-store-uri", "sqlite:///mlruns/mlflow.db"),
    *("--artifacts-destination", "artifacts"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


class Server:
    """A server that MLflow's command starts in a folder; what it stored outlives it."""

    def __init__(self, folder: Path, words: list[str], health: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._words, self._health = words, health

    def start(self) -> None:
        log = self.folder / "server.log"
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *self._words, *place],
                cwd=self.folder,
                stdout=file,
                stderr=file,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        await_answer(self.url + self._health, self.process, log, 240)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them; making them takes seconds."""
    mlflow = pytest.importorskip("mlflow", reason="needs ggn[mlops]")
    path: Path = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def server_of() -> type[Server]:
    """How other tests make a server: (folder, words of the command, page that says it is up)."""
    return Server


@pytest.fixture(scope="session")
def running_server(
    empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    server = Server(folder, TRACKING_SERVER, "/health")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without a tracking server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def server(
    checkout: Path, running_server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """The session's server as the tracking server of an empty folder; running again afterwards."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", running_server.url)
    yield running_server
    if running_server.process is None:
        running_server.start()


@pytest.fixture
def local_store(checkout: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The local database of an empty folder, by its whole address: MLflow keeps it open by that."""
    (checkout / "mlruns").mkdir()
    shutil.copy(empty_database, checkout / "mlruns" / "mlflow.db")
    uri = f"sqlite:///{checkout}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri
