"""Commands on datasets: check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ggn.cli.app import app, err, out


@app.command()
def check(
    annotations: Annotated[Path, typer.Argument(help="COCO-style JSON file.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of its images; without it only the JSON is checked.")
    ] = None,
) -> None:
    """List every fault of a COCO-style dataset; exit with 1 if there is one."""
    from ggn.data.check import check_dataset

    faults = check_dataset(annotations, images)
    for fault in faults:
        out.print(str(fault), markup=False, highlight=False)
    if faults:
        err.print(f"{annotations}: {len(faults)} faults", markup=False)
        raise typer.Exit(1)
    out.print(f"{annotations}: no fault", markup=False)
