"""Runs a stage as a command: arguments, one sentence per error, an end with its parent process."""

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

Shards = Annotated[int | None, typer.Option(min=1, help="Number of workers; default: one per GPU.")]
Shard = Annotated[int | None, typer.Option(help="Do the share of worker K, counted from 0.")]
Runner = Annotated[Literal["local", "ray"], typer.Option(help="Run on this machine, or on Ray.")]

_POLL_SECONDS = 0.5
_SHELLS = {"sh", "dash", "bash", "zsh", "fish"}


def run_stage(main: Callable[..., None]) -> None:
    """Call a stage with the arguments of the command line.

    An error of the input or the machine is one sentence, with exit status 1. The stage is
    terminated (SIGTERM) when the `dvc` that started it ends; otherwise the next `dvc` would start
    it a second time.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see pipelines/__init__.py
    if "DVC_STAGE" in os.environ:  # not if a person started it, who may log out
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
    """Terminate this process when `parent` (a process id), or the parent of that shell, ends."""
    starter = _parent_of(parent)
    while os.getppid() == parent and _parent_of(parent) == starter:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _parent_of(pid: int) -> int | None:
    """Return the parent of the shell through which DVC starts a stage; None for other processes."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:  # not Linux, or it has just ended
        return None
    return int(stat.rpartition(")")[2].split()[1]) if name in _SHELLS else None
