"""Commands on stores of predictions: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ggn.cli.app import app, err, out

predictions = typer.Typer(no_args_is_help=True, help="Stores of predictions.")
app.add_typer(predictions, name="predictions")


@predictions.command()
def export(
    store: Annotated[Path, typer.Argument(help="Folder of the store.")],
    target: Annotated[Path, typer.Option("--out", "-o", help="The COCO results file, FILE.json.")],
    category: Annotated[int, typer.Option(help="Category id of all detections.")] = 1,
) -> None:
    """Write a store as a COCO results file, image by image."""
    from ggn.store.export import export_coco_results
    from ggn.store.read import Store

    opened = Store(store)
    items = track(opened, "export", total=opened.images, console=err)
    count = export_coco_results(items, target, category)
    out.print(f"{target}: {count} detections", markup=False, highlight=False)
