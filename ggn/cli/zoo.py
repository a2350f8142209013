"""Commands on the model zoo: list, fetch, release, convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ggn.cli.app import Out, app, err, out

zoo = typer.Typer(help="The model zoo: its numbers, what is released, files of other projects.")
app.add_typer(zoo, name="zoo")


@zoo.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """The model zoo; without a command, its rows."""
    if context.invoked_subcommand is None:
        list_rows()


@zoo.command("list")
def list_rows() -> None:
    """Show the rows: published and own numbers, what is released and what of it is here."""
    from ggn.zoo.overview import overview

    table = Table(title="mask AR@100 on unseen categories in percent, baseline -> GGN")
    for title in ("row", "published", "own", "protocol of own"):
        table.add_column(title, no_wrap=True)
    rows = list(overview(Path()))
    for row in rows:
        table.add_row(
            row.split,
            _percents(row.published_baseline, row.published_ggn),
            _percents(row.own_baseline, row.own_ggn),
            row.protocol or "",
        )
    out.print(table)
    for row in rows:
        for there, state in ((True, "here"), (False, "not here yet: dvc pull -R releases")):
            names = [name for name, pulled in row.released.items() if pulled == there]
            if names:
                out.print(f"releases/{row.split}: {', '.join(names)} ({state})", markup=False)


@zoo.command()
def fetch(
    row: Annotated[str, typer.Argument(help="A row of the published zoo, such as coco_voc.")],
    file: Annotated[
        str | None, typer.Option(help="One of its files; by default all with a known address.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where --file is: http(s), Google Drive, a file on disk.")
    ] = None,
) -> None:
    """Bring files that the reference's authors released, as releases/ROW/NAME under DVC."""
    from ggn.zoo.fetch import fetch as fetch_file
    from ggn.zoo.fetch import wanted_files
    from ggn.zoo.rows import row as find_row

    found = find_row(row)
    for entry in wanted_files(found, file, url):
        path = fetch_file(_checkout(), found, entry, url)
        out.print(f"{path.relative_to(_checkout())}: {entry.kind}", markup=False)


@zoo.command()
def release(
    split: Annotated[str, typer.Argument(help="A row of params.yaml with committed results.")],
) -> None:
    """Freeze a row as releases/SPLIT: half-precision weights, pseudo-GT, numbers, under DVC."""
    from ggn.zoo.release import release as release_row

    card = release_row(_checkout(), split)
    size = sum(entry["size"] for entry in card["files"].values())
    out.print(
        f"releases/{split}: {len(card['files'])} files, {size / 1e6:.1f} MB; now: git add releases",
        markup=False,
    )


def _checkout() -> Path:
    root = Path.cwd()
    if not (root / ".dvc" / "config").is_file():
        raise ValueError(f"{root}: no checkout of the project; run from the repository root")
    return root


def _percents(baseline: float | None, ggn: float | None) -> str:
    shown = ["-" if value is None else f"{100 * value:.1f}" for value in (baseline, ggn)]
    return "" if shown == ["-", "-"] else " -> ".join(shown)


@zoo.command()
def convert(
    config: Annotated[Path, typer.Argument(help="OpenMMLab config, a Python file; it is not run.")],
    weights: Annotated[Path, typer.Argument(help="Its checkpoint: .pth or .safetensors.")],
    out_dir: Out = Path("converted"),
) -> None:
    """Turn an OpenMMLab model into our weights and a split of params.yaml (FOLDER/split.yaml).

    A config states the images of one GPU: the batch is that of its gpu_ids, or of 8. Each setting
    that we don't have is listed.
    """
    from ruamel.yaml import YAML

    from ggn.openmmlab import convert_model

    conversion = convert_model(config, weights, out_dir)
    with (out_dir / "split.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"splits": {config.stem: conversion.split}}, file)
    out.print((out_dir / "split.yaml").read_text(encoding="utf-8"), markup=False, highlight=False)
    for said, lines in (
        ("WARNING", conversion.warnings),
        ("not supported", conversion.unsupported),
        ("note", conversion.notes),
    ):
        for line in lines:
            err.print(f"{said}: {line}", markup=False, highlight=False)
    out.print(f"{out_dir}: {conversion.kind}", markup=False)
