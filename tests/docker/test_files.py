"""What the files of docker/ say, without an engine: versions, users, ports, passwords."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = YAML(typ="safe").load((DOCKER / "compose.yaml").read_text("utf-8"))


def versions() -> dict[str, str]:
    lines = (DOCKER / "versions.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_versions_are_stated_in_one_place() -> None:
    stated = versions()
    assert all(re.search(r"\d", value) for value in stated.values()), "a version each"
    assert not any(value.endswith(":latest") for value in stated.values())
    assert all(":" in stated[name] for name in stated if name.endswith("_IMAGE"))
    for name in ("Dockerfile", "compose.yaml", "run.sh", "secrets.sh"):
        text = (DOCKER / name).read_text("utf-8")
        for value in stated.values():
            assert not re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.])", text), (name, value)
    assert re.findall(r"^FROM (?!\$|scratch|base|build|environment)\S+", DOCKERFILE, re.M) == []
    images = [service["image"] for service in COMPOSE["services"].values()]
    assert all(re.fullmatch(r"\$\{\w+:\?.*\}", image) for image in images), images


def test_nothing_pulls_a_frontend_and_all_is_installed_from_locks() -> None:
    assert "syntax=" not in DOCKERFILE
    for stage, lock in (("environment", "requirements.lock"), ("server", "docker/mlflow.lock")):
        body = DOCKERFILE.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
        assert f"COPY {lock} " in body
        assert "--require-hashes" in body
    project = DOCKERFILE.split(" AS project\n")[1].split("\nFROM ")[0]
    assert "--no-deps --editable ." in project, "the image holds this project, not a framework"
    hashes = re.findall(r"^[a-z0-9._-]+==\S+ .*\\$", (DOCKER / "mlflow.lock").read_text(), re.M)
    assert len(hashes) > 50
    ours = dict(
        re.findall(r"^(mlflow|sqlalchemy)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    )
    for name, version in ours.items():
        assert f"\n{name}=={version} " in (DOCKER / "mlflow.lock").read_text(), name


@pytest.mark.parametrize("target", ["train", "mlflow"])
def test_what_is_shipped_runs_as_a_normal_user_without_a_compiler(target: str) -> None:
    body = DOCKERFILE.split(f"FROM base AS {target}\n")[1].split("\nFROM ")[0]
    assert re.findall(r"^USER (.*)$", body, re.M) == ["1001"]
    assert "apt-get" not in body, "what base has and no more"
    assert "g++" not in DOCKERFILE.split(" AS base\n")[1].split("\nFROM ")[0]


def test_a_folder_that_a_copied_file_needs_is_made_before() -> None:
    """BuildKit gives a folder that COPY makes the mode of the file: nobody may enter 0644."""
    for target in ("train", "mlflow"):
        body = DOCKERFILE.split(f"FROM base AS {target}\n")[1].split("\nFROM ")[0]
        for copy in re.finditer(r"^COPY --chmod=\d+ \S+ (\S+)$", body, re.M):
            folder = str(Path(copy[1]).parent)
            made = re.findall(r"mkdir ((?:/\S+ ?)+)", body[: copy.start()])
            assert folder in " ".join(made).split(), f"{folder} is made by COPY"


def test_services_listen_on_this_machine_alone() -> None:
    published = [port for s in COMPOSE["services"].values() for port in s.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert [name for name, s in COMPOSE["services"].items() if "ports" in s] == ["mlflow"]
    assert not any(s.get("privileged") or "network_mode" in s for s in COMPOSE["services"].values())


def test_the_server_asks_for_passwords_and_none_is_committed(
    tmp_path: Path, git: list[str], project_files: list[str]
) -> None:
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    assert "--app-name=basic-auth" in text
    secrets = re.findall(r"(?:PASSWORD|SECRET\w*): (\S+)", text)
    assert secrets
    assert all(value.startswith("${") for value in secrets), secrets
    assert "password" not in (DOCKER / "auth.ini").read_text().replace("_PASSWORD", "").lower()
    assert not [name for name in project_files if Path(name).name.startswith(".env")]
    ignored = subprocess.run(
        [*git, "check-ignore", "docker/.env"], capture_output=True, check=False
    )
    assert ignored.returncode == 0
    assert "**/.env" in (ROOT / ".dockerignore").read_text().splitlines()

    script = tmp_path / "secrets.sh"
    script.write_text((DOCKER / "secrets.sh").read_text())
    for _ in range(2):  # the second time it leaves them
        subprocess.run(["bash", script], check=True, capture_output=True)
        made = (tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in made.splitlines())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    passwords = [value for name, value in values.items() if name != "MLFLOW_TRACKING_USERNAME"]
    assert len(set(passwords)) == len(passwords) == 4
    assert min(map(len, passwords)) >= 24
    asked = set(re.findall(r"\$\{(\w+):\?see docker/.env\}", text))
    assert asked == set(values)


NVIDIA = "#!/bin/sh\nexit {status}\n"
ENGINE = '#!/bin/sh\n[ "$1" = image ] && { echo sha256:1; exit; }\nprintf "%s\\n" "$@"\nenv\n'


@pytest.mark.parametrize("has_gpu", [True, False])
def test_a_gpu_is_used_if_there_is_one(tmp_path: Path, has_gpu: bool) -> None:
    for name, text in (("nvidia-smi", NVIDIA.format(status=int(not has_gpu))), ("docker", ENGINE)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    answer = subprocess.run(
        ["bash", DOCKER / "run.sh", "ggn:1", "dvc", "repro"],
        env={"PATH": path, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    words = answer.stdout.splitlines()
    assert ("--gpus" in words) == has_gpu
    assert ("no NVIDIA GPU on this machine" in answer.stderr) == (not has_gpu)
    assert f"type=bind,source={tmp_path},target=/workspace" in words
    assert "GGN_IMAGE_TAG=sha256:1" in words
    assert words[words.index("--pid") + 1] == "host", "DVC tells runs apart by their process ids"


@pytest.mark.parametrize(
    ("uri", "told"),
    [("http://127.0.0.1:5000", True), ("http://localhost:5000", True), ("https://a.org", False)],
)
def test_the_local_servers_password_is_told_to_no_other(
    tmp_path: Path, uri: str, told: bool
) -> None:
    (tmp_path / "docker").write_text(ENGINE)
    (tmp_path / "docker").chmod(0o755)
    checkout = tmp_path / "checkout"
    (checkout / "docker").mkdir(parents=True)
    (checkout / "docker" / ".env").write_text("MLFLOW_TRACKING_PASSWORD=s3cret\n")
    answer = subprocess.run(
        ["bash", DOCKER / "run.sh", "ggn:1", "true"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "MLFLOW_TRACKING_URI": uri},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("MLFLOW_TRACKING_PASSWORD=s3cret" in answer.stdout.splitlines()) == told
