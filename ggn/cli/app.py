"""The command itself: where commands register, what they print on, how a refusal looks."""

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

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for what is written.")]
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda or cuda:N.")]


@app.callback()
def ggn() -> None:
    """Open-world instance segmentation: find objects of categories nobody annotated."""


def main() -> None:
    """Run the command; refusals and errors of the machine are one message, exit status 1."""
    try:
        require_this_checkout()
        app()
    except Exception as error:
        told = sentence(error)
        if told is None:
            raise
        err.print(f"ggn: {told}", style="red", markup=False, highlight=False)
        raise SystemExit(1) from None
