"""The origin of a run: tags by which its code and its data can be found again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def provenance(
    stage: str, split: str, recipe: str | None, input_hashes: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags of a stage's run; `input_hashes` are DVC's, by path."""
    lock = Path("dvc.lock")
    return {
        "stage": stage,
        "split": split,
        "recipe": recipe or "-",
        "git_commit": _git_commit(),
        "dvc_lock": hashlib.md5(lock.read_bytes()).hexdigest() if lock.exists() else "none",  # noqa: S324
        "image_tag": os.environ.get("GGN_IMAGE_TAG", "none"),
        **{f"input.{path}": value for path, value in input_hashes.items()},
    }


def _git_commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    answer = subprocess.run(  # noqa: S603 (fixed arguments)
        # a checkout that belongs to another user, too: its code is what runs here
        [
            git,
            "-c",
            "safe.directory=*",
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
