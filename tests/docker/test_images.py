"""The images as a person uses them: `make docker-test` builds them and runs this; else skipped."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from ruamel.yaml import YAML

IMAGE = os.environ.get("GGN_DOCKER_IMAGE", "")
ROOT = Path(__file__).parents[2]
STRANGER = 4321  # who calls, where root runs the tests
PROJECT = "ggn-test"  # of compose: never the project of a server that somebody uses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE, reason="needs the images: make docker-test"),
]


@dataclass(frozen=True)
class Caller:
    """Somebody with a checkout, who may talk to the engine and is not root."""

    checkout: Path
    uid: int

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; 20 minutes at most."""
        more: dict[str, Any] = {}
        if os.getuid() == 0:
            engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
            group = Path(engine.removeprefix("unix://")).stat().st_gid
            more = {"user": self.uid, "group": self.uid, "extra_groups": [group]}
        given = {
            "HOME": str(self.checkout),
            "BUILDX_CONFIG": str(self.checkout / "build" / "buildx"),
            "COMPOSE_PROJECT_NAME": PROJECT,
        } | environment
        return subprocess.run(
            command,
            cwd=self.checkout,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
            **more,
        )

    def in_image(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("docker/run.sh", IMAGE, *command, **environment)


@pytest.fixture(scope="module")
def caller(project_files: list[str]) -> Iterator[Caller]:
    """A caller whose row `shapes` is so small that its stages take seconds."""
    uid = os.getuid() or STRANGER
    with tempfile.TemporaryDirectory(prefix="ggn-") as folder:
        checkout = Path(folder)
        for name in project_files:
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
        subprocess.run(["git", "init", "--quiet", checkout], check=True)
        yaml = YAML()
        params = yaml.load(checkout / "params.yaml")
        row = params["splits"]["shapes"]
        row["data"]["shapes"] = {"train_images": 10, "val_images": 4, "max_size": 112}
        row["pseudo_gt"]["min_score"] = None  # a network trained for seconds reaches none
        for section in ("affinity", "detector"):
            row[section] |= {"epochs": 2, "warmup_steps": 0}
        yaml.dump(params, checkout / "params.yaml")
        checkout.chmod(0o755)
        for path in (checkout, *checkout.rglob("*")):
            os.chown(path, uid, uid if os.getuid() == 0 else -1)
        yield Caller(checkout, uid)


def inspect(*words: str) -> str:
    answer = subprocess.run(
        ["docker", "run", "--rm", IMAGE, *words], capture_output=True, text=True, check=True
    )
    return answer.stdout


def test_the_image_holds_the_project_and_no_compiler_and_runs_as_a_normal_user() -> None:
    assert inspect("id", "-u") == "1001\n"
    assert "/workspace/ggn/__init__.py" in inspect(
        "python", "-c", "import ggn; print(ggn.__file__)"
    )
    found = inspect("sh", "-c", "for name in cc gcc g++ make; do command -v $name; done; true")
    assert found == ""
    assert "predict" in inspect("ggn", "--help")
    assert inspect("python", "-c", "import mmcv.ops, torch; print(torch.__version__)")


def test_it_trains_and_the_files_are_the_callers(caller: Caller) -> None:
    first = caller.run("make", "docker-train")
    assert first.returncode == 0, first.stdout + first.stderr
    has_gpu = shutil.which("nvidia-smi") is not None
    assert ("no NVIDIA GPU on this machine" in first.stderr) == (not has_gpu)
    assert "Running stage 'compare@shapes'" in first.stdout
    reports = caller.checkout / "reports" / "shapes"
    comparison = json.loads((reports / "comparison.json").read_text())
    assert 0 <= comparison["ggn"]["unseen/mask_AR_100"] <= 1
    foreign = [
        str(path) for path in caller.checkout.rglob("*") if path.lstat().st_uid != caller.uid
    ]
    assert foreign == []

    second = caller.run("make", "docker-train", "SPLIT=shapes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Running stage" not in second.stdout
    assert "Data and pipelines are up to date." in second.stdout


def test_of_two_runs_at_once_the_second_stops_and_a_killed_one_is_made_up_for(
    caller: Caller,
) -> None:
    """DVC goes by process ids, which two containers share unless they are the machine's."""
    stage = ("dvc", "repro", "--force", "--single-item", "train_affinity@shapes")
    lock = caller.checkout / ".dvc" / "tmp" / "rwlock"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(caller.in_image, *stage)
        deadline = time.monotonic() + 120
        while "models/shapes/affinity" not in (lock.read_text() if lock.exists() else ""):
            assert time.monotonic() < deadline, "the first run never began"
            time.sleep(0.05)
        second = caller.in_image(*stage)
        assert second.returncode != 0
        assert "is busy, it is being blocked by" in second.stderr
        running = ["docker", "ps", "--quiet", "--filter", f"ancestor={IMAGE}"]
        found = subprocess.run(running, capture_output=True, text=True, check=True)
        subprocess.run(["docker", "kill", *found.stdout.split()], check=True)
        assert first.result().returncode != 0
    third = caller.in_image(*stage)
    assert third.returncode == 0, third.stdout + third.stderr
    assert "had been killed" in third.stdout + third.stderr


def test_an_unknown_row_is_refused_by_name(caller: Caller) -> None:
    answer = caller.run("make", "docker-train", "SPLIT=shapse")
    assert answer.returncode != 0
    assert "compare@shapse" in answer.stderr


@dataclass(frozen=True)
class Server:
    """A tracking server that `make docker-mlflow` started."""

    port: int
    account: dict[str, str]

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: dict[str, Any], password: str | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if password is not None:
            pair = f"{self.account['MLFLOW_TRACKING_USERNAME']}:{password}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        request = Request(f"{self.uri}/api/2.0/mlflow/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    def runs(self) -> list[dict[str, Any]]:
        password = self.account["MLFLOW_TRACKING_PASSWORD"]
        found = self.post("experiments/search", {"max_results": 50}, password)["experiments"]
        ids = [experiment["experiment_id"] for experiment in found]
        body = {"experiment_ids": ids, "max_results": 200}
        return list(self.post("runs/search", body, password).get("runs", []))


@pytest.fixture(scope="module")
def server(caller: Caller) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = ("POSTGRES_IMAGE", "S3_IMAGE", "COMPOSE_OVERRIDE")
    given = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    try:
        answer = caller.run("make", "docker-mlflow", f"PORT={port}", *given)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert f"http://127.0.0.1:{port}, user and password in docker/.env" in answer.stdout
        secrets = (caller.checkout / "docker" / ".env").read_text().splitlines()
        account = dict(line.split("=", 1) for line in secrets)
        yield Server(port, {k: v for k, v in account.items() if k.startswith("MLFLOW_TRACKING_")})
    finally:
        caller.run("docker", "compose", "--project-name", PROJECT, "down", "--volumes")


def test_a_server_asks_for_the_password_and_listens_on_this_machine_alone(server: Server) -> None:
    for password in (None, "wrong"):
        with pytest.raises(HTTPError, match="401"):
            server.post("experiments/search", {"max_results": 1}, password)
    assert server.runs() == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: which address would be used?
        except OSError:
            pytest.skip("this machine has no address but its own")
        address = probe.getsockname()[0]
    for port in (server.port, 5432, 9000):
        with socket.socket() as knock:
            knock.settimeout(5)
            assert knock.connect_ex((address, port)) != 0, f"{address}:{port} answers"


def test_a_stage_logs_to_it_from_the_image_and_a_restart_loses_nothing(
    caller: Caller, server: Server
) -> None:
    stage = ("dvc", "repro", "--force", "--single-item", "compare@shapes")
    answer = caller.in_image(*stage, MLFLOW_TRACKING_URI=server.uri)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "kept in mlruns/pending" not in answer.stdout + answer.stderr
    (image_id,) = {
        subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    }
    before = server.runs()
    names = {run["info"]["run_name"] for run in before}
    assert {"baseline", "ggn"} <= {name.split()[-1].split("-")[-1] for name in names}, names
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in before]
    assert image_id in {tag.get("image_tag") for tag in tags}

    for service in ("postgres", "mlflow"):
        caller.run("docker", "compose", "--project-name", PROJECT, "kill", service)
    stopped = caller.in_image(*stage, MLFLOW_TRACKING_URI=server.uri)
    assert stopped.returncode == 0, "training goes on without the server"
    assert "kept in mlruns/pending" in stopped.stdout + stopped.stderr
    for service in ("postgres", "mlflow"):
        caller.run("docker", "compose", "--project-name", PROJECT, "start", service)
    deadline = time.monotonic() + 180
    while True:
        try:
            after = server.runs()
            break
        except OSError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(1)
    ids = {run["info"]["run_id"] for run in before}
    assert ids <= {run["info"]["run_id"] for run in after}
    synced = caller.in_image("ggn", "track", "sync", MLFLOW_TRACKING_URI=server.uri)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert "nothing is left to deliver" in synced.stdout
    assert len(server.runs()) > len(ids)


def test_a_wrong_password_is_named_and_the_run_is_kept(caller: Caller, server: Server) -> None:
    wrong = {**server.account, "MLFLOW_TRACKING_PASSWORD": "wrong"}
    answer = caller.in_image(
        *("dvc", "repro", "--force", "--single-item", "compare@shapes"),
        MLFLOW_TRACKING_URI=server.uri,
        **wrong,
    )
    assert answer.returncode == 0
    assert "user name or password refused" in answer.stdout + answer.stderr
    assert list((caller.checkout / "mlruns" / "pending").glob("[!.]*"))
