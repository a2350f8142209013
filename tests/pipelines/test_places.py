"""A checkout as people have it: an unpacked archive, another's, below any path, in any locale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dvc", reason="needs ggn[mlops]")

COMMIT = "import ggn.tracking.provenance as p; print(p.provenance('', '', '', {})['git_commit'])"


@pytest.fixture
def other(make_checkout: Callable[[], Any]) -> Any:
    return make_checkout()


def prepare(checkout: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    answer = checkout.run("-m", "dvc", "repro", "prepare@shapes", **environment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert (checkout.folder / "data/shapes/prepared/split.json").exists()
    done: subprocess.CompletedProcess[str] = answer
    return done


def test_an_archive_without_git_works_once_dvc_is_told(other: Any) -> None:
    """`make repro` tells it."""
    shutil.rmtree(other.folder / ".git")
    alone = {"GIT_CEILING_DIRECTORIES": str(other.folder.parent)}
    refused = other.run("-m", "dvc", "repro", "prepare@shapes", **alone)
    assert "is not a git repository" in refused.stderr
    other.run("-m", "dvc", "config", "--local", "core.no_scm", "true", **alone)
    prepare(other, **alone)


@pytest.mark.skipif(os.getuid() != 0, reason="gives files to another user, which only root may")
def test_a_checkout_of_another_user_works_and_its_commit_is_known(other: Any) -> None:
    git = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(git, cwd=other.folder, check=True, capture_output=True, text=True).stdout
    for path in [other.folder, *other.folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    prepare(other)
    assert other.run(sys.executable, "-c", COMMIT).stdout.split() == head.split()


def test_a_path_beyond_ascii_in_the_c_locale(other: Any) -> None:
    folder = other.folder.parent / "dir with space" / "g\u00fcn \u00f1"
    folder.parent.mkdir()
    other.folder = Path(shutil.move(other.folder, folder))
    prepare(other, LC_ALL="C")
