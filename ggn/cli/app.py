"""The command itself: where commands register, where they print, how errors are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ggn.core.checkout import require_this_checkout
from ggn.core.failures import sentence

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.")]
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda or cuda:N.")]


@app.callback()
def ggn() -> None:
    """Open-world instance segmentation: find objects of categories that nobody annotated."""


def main() -> None:
    """Run the command. An error of the user or the machine is one message, with exit status 1."""
    try:
        require_this_checkout()
        app()
    except Exception as error:
        told = sentence(error)
        if told is None:
            raise
        err.print(f"ggn: {told}", style="red", markup=False, highlight=False)
        raise SystemExit(1) from None
