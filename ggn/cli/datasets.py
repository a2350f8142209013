"""Commands on datasets: check, convert."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import track

from ggn.cli.app import Out, app, err, out

Dataset = Literal["coco", "lvis", "uvo", "ade20k", "imagenet"]


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


@app.command()
def convert(
    name: Annotated[Dataset, typer.Argument(help="Which dataset.")],
    source: Annotated[Path, typer.Argument(help="Folder of its official files, unpacked.")],
    out_dir: Out,
    drop_faulty: Annotated[
        bool, typer.Option(help="Leave out faulty annotations and count them.")
    ] = False,
) -> None:
    """Turn a dataset's official files into COCO style: FOLDER/PART.json, images stay in place.

    The files name their images from SOURCE on. A killed conversion goes on where it was.
    """
    parts = importlib.import_module(f"ggn.data.{name}").parts(source)
    from ggn.data.conversion import convert_parts

    def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
        return track(items, title, console=err)

    for path, info in convert_parts(parts, out_dir, drop=drop_faulty, progress=progress):
        facts = ", ".join(f"{key} {value}" for key, value in info.items())
        out.print(f"{path}: {facts}", markup=False, highlight=False)
