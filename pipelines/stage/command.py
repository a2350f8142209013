"""A stage as a command: its words, its end when its parent ends, one sentence for a failure."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

import pipelines
from ggn.core.failures import sentence

Shards = Annotated[int | None, typer.Option(min=1, help="Workers; one per GPU if unset.")]
Shard = Annotated[int | None, typer.Option(help="Be worker K of them, from 0 on.")]
Runner = Annotated[Literal["local", "ray"], typer.Option(help="What runs them.")]

_POLL_SECONDS = 0.5
_SHELLS = {"sh", "dash", "bash", "zsh", "fish"}


def run_stage(main: Callable[..., None]) -> None:
    """Call a stage with the words of the command line.

    A refusal and an error of the machine are one sentence and exit status 1. The stage is
    terminated (SIGTERM) when the `dvc` that started it has ended: the next one would start it
    again, beside this one.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see pipelines/__init__.py
    if "DVC_STAGE" in os.environ:  # not where a person started it, and perhaps logs out
        threading.Thread(target=_end_with, args=(pipelines.PARENT,), daemon=True).start()
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(main)
    try:
        command()
    except Exception as error:
        told = sentence(error)
        if told is None:
            raise
        Console(stderr=True, soft_wrap=True).print(told, markup=False, highlight=False)
        raise SystemExit(1) from error


def _end_with(parent: int) -> None:
    """Terminate this process once `parent`, a process id, or who started that shell is gone."""
    starter = _parent_of(parent)
    while os.getppid() == parent and _parent_of(parent) == starter:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _parent_of(pid: int) -> int | None:
    """Return the parent of a shell that DVC started the stage by, None for any other process."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:  # not Linux, or it has just ended
        return None
    return int(stat.rpartition(")")[2].split()[1]) if name in _SHELLS else None
