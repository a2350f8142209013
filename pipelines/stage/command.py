"""A stage as a command: its words, its end when its parent ends, one sentence for a failure."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Annotated, Literal

import typer
from rich.console import Console

import pipelines
from ggn.core.failures import sentence

Shards = Annotated[int | None, typer.Option(min=1, help="Workers; one per GPU if unset.")]
Shard = Annotated[int | None, typer.Option(help="Be worker K of them, from 0 on.")]
Runner = Annotated[Literal["local", "ray"], typer.Option(help="What runs them.")]

_POLL_SECONDS = 0.5


def run_stage(main: Callable[..., None]) -> None:
    """Call a stage with the words of the command line.

    A refusal and an error of the machine are one sentence and exit status 1. The stage is
    terminated (SIGTERM) when the process that started it has ended: DVC would start it again,
    beside this one.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see pipelines/__init__.py
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
    """Terminate this process once `parent`, its process id, is no more its parent."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
