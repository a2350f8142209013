"""`make fuzz`: the kernels under sanitizers for some seconds, and that a fault would be found."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = (
    "Makefile",
    "pyproject.toml",
    "docker/versions.env",
    *(
        f"ggn/grouping/_{name}.hpp"
        for name in ("fixed_point", "watershed", "arcs", "sums", "trees")
    ),
    *(f"ggn/evaluation/{name}.hpp" for name in ("_elements", "_matching", "_overlaps")),
    *(f"tests/fuzz/{name}" for name in ("case.hpp", "grouping.hpp", "overlaps.hpp")),
    "tests/fuzz/fuzz_kernels.cpp",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Without the variables of a `make` around the tests; skips without a compiler for it."""
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "empty.cpp").write_text("int main() {}\n")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not all((ROOT / name).is_file() for name in NEEDED):
        pytest.skip("needs the checkout, not only the installed package")
    if compiler is None or shutil.which("make") is None:
        pytest.skip("needs make and a C++ compiler: CXX, or g++")
    command = [compiler, "-fsanitize=address,undefined", "empty.cpp", "-o", "empty"]
    built = subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    if not built or subprocess.run([folder / "empty"], check=False).returncode != 0:
        pytest.skip(f"{compiler} has no address and undefined-behaviour sanitizers here")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "SECONDS")
    }


@pytest.fixture
def checkout(tmp_path):
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def fuzz(checkout, environment):
    return subprocess.run(
        ["make", "fuzz", "SECONDS=4"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_found(checkout, environment):
    answer = fuzz(checkout, environment)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("seed 1, ")
    assert int(answer.stdout.split()[2]) > 50
    program = checkout / "build" / "fuzz_kernels"
    refused = subprocess.run([program, "1s"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "must be whole numbers, got 1s" in refused.stderr


def test_a_read_beyond_the_end_is_found(checkout, environment):
    """The frame of `find_arcs` made too short, which no result shows."""
    header = checkout / "ggn/grouping/_arcs.hpp"
    text = header.read_text()
    assert text.count("(height + 2 * kReach + 1) * stride") == 1
    header.write_text(
        text.replace("(height + 2 * kReach + 1) * stride", "(height + 2 * kReach - 1) * stride")
    )
    answer = fuzz(checkout, environment)
    assert answer.returncode != 0
    assert "heap-buffer-overflow" in answer.stderr or "Assertion" in answer.stderr
    assert "found by: fuzz_kernels 1 1 " in answer.stderr
