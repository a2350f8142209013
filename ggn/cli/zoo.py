"""Commands on the model zoo: list, fetch, evaluate, release, convert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TransferSpeedColumn,
    track,
)

from ggn.cli.app import Device, Out, app, err, out

if TYPE_CHECKING:
    from ggn.zoo.download import ReportBytes

zoo = typer.Typer(help="The model zoo: published numbers, releases, models of other projects.")
app.add_typer(zoo, name="zoo")


@zoo.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """The model zoo. Without a command, list its rows."""
    if context.invoked_subcommand is None:
        list_rows()


@zoo.command("list")
def list_rows(row: Annotated[str | None, typer.Argument(help="Only this row.")] = None) -> None:
    """List the rows: published numbers, our own, what is released, and what of it is here."""
    from ggn.cli.zoo_tables import numbers_table, rows_table
    from ggn.zoo.numbers import PUBLISHED
    from ggn.zoo.overview import overview
    from ggn.zoo.rows import LICENCE

    every = list(overview(Path()))
    rows = [entry for entry in every if row in (None, entry.split)]
    if not rows:
        raise ValueError(f"no row {row!r}; there are {', '.join(entry.split for entry in every)}")
    out.print(rows_table(rows))
    for entry in rows:
        if any(number.split == entry.split for number in PUBLISHED):
            out.print(numbers_table(entry.split, entry.partition))
    for entry in rows:
        folder = f"releases/{entry.split}"
        _print_names(folder, entry.released, True, "here")
        _print_names(folder, entry.released, False, "not here yet: dvc pull -R releases")
        _print_names(folder, entry.fetched, True, f"of GGN's authors, {LICENCE}; here")
        missing = f"of GGN's authors, {LICENCE}; not here yet: ggn zoo fetch {entry.split}"
        _print_names(folder, entry.fetched, False, missing)


def _print_names(folder: str, states: dict[str, bool], here: bool, meaning: str) -> None:
    names = [name for name, is_here in states.items() if is_here == here]
    if names:
        out.print(f"{folder}: {', '.join(names)} ({meaning})", markup=False, highlight=False)


@zoo.command()
def fetch(
    row: Annotated[str, typer.Argument(help="A row of the published zoo, such as coco_voc.")],
    file: Annotated[
        str | None, typer.Option(help="One of its files; by default all with a known address.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where to get --file: http(s), Google Drive, or a file on disk."),
    ] = None,
) -> None:
    """Fetch files that GGN's authors released, as releases/ROW/NAME under DVC.

    After a kill, the same command resumes.
    """
    from ggn.zoo import versioned
    from ggn.zoo.fetch import FetchError, is_there, wanted_files
    from ggn.zoo.fetch import fetch as fetch_file
    from ggn.zoo.rows import LICENCE, LICENCE_TEXT
    from ggn.zoo.rows import row as find_row

    root, found = _checkout(), find_row(row)
    wanted = wanted_files(found, file, url)
    versioned.run(root, "dvc", "root")  # fails before a long download rather than after it
    licence = f"{LICENCE}, no commercial use ({LICENCE_TEXT})"
    _say(f"These files belong to GGN's authors: {licence}")
    failed = False
    for entry in wanted:
        state = "already here" if is_there(root, found, entry, url) else entry.kind
        try:
            with _download_bar(f"{row} {entry.name}") as told:
                path = fetch_file(root, found, entry, url, told)
        except FetchError as error:  # the other files of the row may still be available
            failed = True
            err.print(f"ggn: {error}", style="red", markup=False, highlight=False)
        else:
            _say(f"{path.relative_to(root)}: {state}")
    if failed:
        raise typer.Exit(1)


@contextmanager
def _download_bar(label: str) -> Iterator[ReportBytes]:
    """Show a bar from the first block on."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        task = bar.add_task(label, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False)


@zoo.command()
def evaluate(
    row: Annotated[str, typer.Argument(help="A split of params.yaml, such as coco_voc.")],
    weights: Annotated[
        Path | None, typer.Option(help="Folder of a detector; by default releases/ROW/ggn.")
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Use only the first N images, by id.")
    ] = None,
    out_dir: Out = Path("evaluation"),
    device: Device = "auto",
) -> None:
    """Evaluate a released detector on its row's validation set, beside the published numbers.

    The training data is not needed. After a kill, the same command resumes.
    """
    from ggn.cli.zoo_tables import measured, numbers_table
    from ggn.core.coco import write_json
    from ggn.zoo.evaluate import evaluate_weights, measured_on, read_validation
    from ggn.zoo.overview import partition_of
    from pipelines.stage import load_params

    sections: dict[str, Any] = load_params(row)
    folder = weights or Path("releases") / row / "ggn"
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder; `ggn zoo fetch {row} --file ggn` brings the weights of "
            "GGN's authors, `dvc pull -R releases` brings ours"
        )
    limit = {} if max_images is None else {"max_val_images": max_images}
    validation = read_validation(sections["data"].model_copy(update=limit))
    metrics, results = evaluate_weights(
        folder,
        validation,
        sections["evaluation"],
        Path(".scratch/zoo_evaluate"),
        device,
        lambda images: track(images, "predict", console=err),
    )
    protocol, on = sections["evaluation"].protocol, measured_on(row, validation, max_images)
    stem = out_dir / f"{row}-{folder.name}"
    facts = {"row": row, "weights": str(folder), "protocol": protocol, "measured_on": on}
    write_json(stem.with_name(f"{stem.name}.json"), {**facts, **metrics}, indent=1)
    write_json(stem.with_name(f"{stem.name}-predictions.json"), results)
    partition = partition_of(row)
    own = measured(str(folder), protocol, f"{on}: measured here", partition, metrics)
    out.print(numbers_table(row, partition, own))
    _say(f"{stem}.json: all metrics; {stem}-predictions.json: COCO results")


@zoo.command()
def release(
    split: Annotated[str, typer.Argument(help="A row of params.yaml with committed results.")],
) -> None:
    """Release a row as releases/SPLIT under DVC: half-precision weights, pseudo-GT, numbers."""
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
        raise ValueError(f"{root}: not a checkout of GGN; run this in the repository root")
    return root


@zoo.command()
def convert(
    config: Annotated[Path, typer.Argument(help="OpenMMLab config (Python); it is not executed.")],
    weights: Annotated[Path, typer.Argument(help="Its checkpoint: .pth or .safetensors.")],
    out_dir: Out = Path("converted"),
) -> None:
    """Convert an OpenMMLab model to our weights and a split for params.yaml (split.yaml).

    The config gives the batch per GPU; it is multiplied by the number of its gpu_ids, or by 8.
    Settings that have no counterpart are listed.
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
