"""Runs DVC and git as the commands that a person would type."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ggn.evaluation.params import RECIPES


class CommandError(ValueError):
    """A command failed; with its message."""


def run(root: Path, *words: str) -> str:
    """Run a program in `root` and return what it printed.

    A program installed beside this Python is found even if the environment is not activated.

    Raises:
        CommandError: there is no such program, or it failed; with the command and its message.
    """
    program = shutil.which(words[0], path=os.pathsep.join(_places()))
    if program is None:
        raise CommandError(f"{words[0]}: no such program; `make setup` installs it")
    answer = subprocess.run(  # noqa: S603 (fixed programs; no shell)
        [program, *words[1:]], cwd=root, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        said = (answer.stderr.strip() or answer.stdout.strip()).removeprefix("ERROR: ")
        raise CommandError(f"{' '.join(words)}: {said}")
    return answer.stdout


def _places() -> list[str]:
    return [str(Path(sys.executable).parent), *os.get_exec_path()]


def stale_stages(root: Path, split: str) -> dict[str, list[str]]:
    """Return the stages of a split that `dvc repro` would run again, each with what changed.

    Raises CommandError if the split is not active in params.yaml.
    """
    stages = _stages(root, split)
    if not stages:
        raise CommandError(f"{split}: not in `active` of params.yaml, so it has no results")
    status: dict[str, Any] = json.loads(run(root, "dvc", "status", "--json", *stages) or "{}")
    return {stage: _changed(status[stage]) for stage in stages if stage in status}


def uncommitted(root: Path, *paths: str) -> list[str]:
    """Return the files under `paths` that differ from the last commit, new ones included."""
    words = ("git", "status", "--porcelain", "--untracked-files=all", "--", *paths)
    return [line[3:] for line in run(root, *words).splitlines()]


def commit(root: Path) -> str:
    """Return the hash of the last commit."""
    return run(root, "git", "rev-parse", "HEAD").strip()


def add(root: Path, paths: Sequence[Path]) -> list[Path]:
    """Put files or folders under DVC and return the `.dvc` files beside them."""
    names = [path.relative_to(root).as_posix() for path in paths]
    run(root, "dvc", "add", "--quiet", *names)
    return [root / f"{name}.dvc" for name in names]


def add_and_push(root: Path, paths: Sequence[Path], remote: str) -> None:
    """Put files or folders under DVC, bound to a remote by name, and push them there.

    The `.dvc` files contain the name, so it holds whatever the default remote is.
    """
    pointers = add(root, paths)
    for pointer in pointers:
        text = pointer.read_text(encoding="utf-8")
        if "  remote: " not in text:
            pointer.write_text(f"{text}  remote: {remote}\n", encoding="utf-8")
    names = [pointer.relative_to(root).as_posix() for pointer in pointers]
    run(root, "dvc", "push", "--quiet", "--remote", remote, *names)


def push_outputs(root: Path, split: str, remote: str) -> None:
    """Push the outputs of all stages of a split to a remote."""
    run(root, "dvc", "push", "--quiet", "--remote", remote, *_stages(root, split))


def _stages(root: Path, split: str) -> list[str]:
    """Return the names of the split's stages, such as `train_detector@shapes-ggn`."""
    labels = {split, *(f"{split}-{recipe}" for recipe in RECIPES)}
    lines = run(root, "dvc", "stage", "list", "--name-only").splitlines()
    return [line for line in lines if line.partition("@")[2] in labels]


def _changed(status: Any) -> list[str]:
    """Return the names of what changed, from one stage of `dvc status --json`."""
    names = []
    for part in status:
        if isinstance(part, str):
            names.append(part)
        else:
            names += [name for entries in part.values() for name in entries]
    return names


def prune(root: Path, folder: Path) -> None:
    """Remove from a committed remote the objects that nothing refers to any more.

    References are in `dvc.lock` and in the `.dvc` files bound to the remote. Removed objects stay
    in git's history, with the files that referred to them.

    Args:
        root: the checkout.
        folder: the remote, `files/md5/ab/cdef…` inside.
    """
    objects = folder / "files" / "md5"
    named: set[str] = set()
    pointers = (root / "releases").glob("[!.]*/*.dvc")  # not what is set aside
    for file in (*pointers, root / "dvc.lock"):
        if file.exists():
            named |= set(re.findall(r"md5: (\S+)", file.read_text(encoding="utf-8")))
    for name in [name for name in named if name.endswith(".dir")]:
        listing = objects / name[:2] / name[2:]
        if listing.exists():
            named |= {entry["md5"] for entry in json.loads(listing.read_bytes())}
    for path in objects.glob("*/*"):
        if path.parent.name + path.name not in named:
            path.unlink()
