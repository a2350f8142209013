"""Checkouts other than the one that the environment was made for, and stages started in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SOURCES = ("ggn", "pipelines", "dvc.yaml", "params.yaml", ".dvc/config", ".dvcignore", ".gitignore")


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


class Checkout:
    """A folder with the project's code, under git, and a row `shapes` of few images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in SOURCES:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        with self.params() as document:
            document["splits"] = {"shapes": document["splits"]["shapes"]}
            document["splits"]["shapes"]["data"]["shapes"] = {
                "train_images": 4,
                "val_images": 2,
                "max_size": 112,
            }
        git(folder, "init", "--quiet")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message=code")

    def params(self) -> Params:
        """Open params.yaml for a change."""
        return Params(self.folder / "params.yaml")

    def edit(self, file: str, text: str) -> None:
        """Append to a file; of a stage, before it runs."""
        path = self.folder / file
        head, main, rest = path.read_text("utf-8").partition('\nif __name__ == "__main__":')
        path.write_text(head + text + main + rest, "utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        program = str(Path(sys.executable).parent)
        path = f"{program}:{os.environ['PATH']}"
        mine = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **more}
        if "MLFLOW_TRACKING_URI" not in more:
            mine.pop("MLFLOW_TRACKING_URI", None)
        return mine

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in this folder, to its end."""
        return subprocess.run(
            [sys.executable, *command] if command[0] == "-m" else command,
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start a program of the environment in this folder."""
        return subprocess.Popen(
            [sys.executable, *command] if command[0] == "-m" else command,
            cwd=self.folder,
            env=self.environment(**more),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


class Params:
    """params.yaml, read for a body and written after it."""

    def __init__(self, path: Path) -> None:
        self.path, self.yaml = path, YAML()

    def __enter__(self) -> Any:
        self.document = self.yaml.load(self.path)
        return self.document

    def __exit__(self, *_: object) -> None:
        self.yaml.dump(self.document, self.path)


@pytest.fixture
def make_checkout(tmp_path: Path) -> Callable[[], Checkout]:
    """Make a checkout beside none of the environment's."""
    return lambda: Checkout(tmp_path / "other")
