"""Commands on tracked runs and models: sync, published, recorded, register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ggn.cli.app import app, err, out

track = typer.Typer(no_args_is_help=True, help="Runs in MLflow (MLFLOW_TRACKING_URI).")
app.add_typer(track, name="track")


@track.command("sync")
def sync_pending() -> None:
    """Deliver runs that the MLflow store did not receive; exit with 1 if some remain."""
    from ggn.tracking.backend import PENDING, destination, tracking_uri
    from ggn.tracking.delivery import sync

    uri = tracking_uri()
    failed = 0
    for outcome in sync(PENDING, uri):
        if outcome.error is None:
            out.print(f"{outcome.name}: {_STATES[outcome.state]}", markup=False, highlight=False)
        else:
            failed += 1
            text = f"{outcome.name}: kept; {outcome.error}"
            err.print(text, markup=False, highlight=False)
    left = f", {failed} kept in {PENDING}" if failed else ", nothing is left to deliver"
    out.print(f"{destination(uri)}{left}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


_STATES = {
    "delivered": "delivered",
    "running": "still running; delivered so far",
    "elsewhere": "another process is delivering it",
}


@track.command()
def published() -> None:
    """Add the zoo's published numbers to MLflow, beside our runs; repeating it changes nothing."""
    from ggn.tracking.published import import_published
    from ggn.zoo.numbers import PUBLISHED

    runs, deleted, page = import_published(PUBLISHED)
    out.print(f"{runs} published runs; {deleted} outdated ones deleted", markup=False)
    out.print(f"the table: {page}", markup=False, highlight=False)


@track.command()
def recorded() -> None:
    """Add the tables of reports/ to MLflow as runs, so that a fresh clone shows its rows."""
    from ggn.tracking.recorded import import_recorded

    runs, deleted, page = import_recorded(Path("reports"))
    out.print(f"{runs} recorded runs; {deleted} outdated ones deleted", markup=False)
    out.print(f"the table: {page}", markup=False, highlight=False)


@track.command()
def register(
    split: Annotated[str, typer.Argument(help="A row that `make release` has released.")],
) -> None:
    """Register the released detectors of a row: models:/SPLIT@ggn and models:/SPLIT@baseline."""
    from ggn.core.coco import read_coco
    from ggn.data.prepare import read_prepared
    from ggn.tracking.registry import register as register_model

    prepared = Path("data") / split / "prepared"
    photographs = Path(read_prepared(prepared).val_images)
    example = photographs / read_coco(prepared / "val.json")["images"][0]["file_name"]
    for recipe in ("baseline", "ggn"):
        weights = Path("releases") / split / recipe
        address = register_model(split, recipe, weights, example=example)
        out.print(f"{weights}: {address}, models:/{split}@{recipe}", markup=False, highlight=False)
