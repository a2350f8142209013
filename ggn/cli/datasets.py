"""Commands on datasets: check, convert."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import track

from ggn.cli.app import Out, app, err, out
from ggn.core.coco import Fault

CONTRADICTIONS = 10  # of one file that are listed

Dataset = Literal["coco", "lvis", "uvo", "ade20k", "imagenet"]


@app.command()
def check(
    annotations: Annotated[Path, typer.Argument(help="COCO-style JSON file, gzipped or not.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of its images; without it only the JSON is checked.")
    ] = None,
    seen: Annotated[
        str | None, typer.Option(help="Categories that must have an object to learn from.")
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Refuse what is otherwise mended in reading, and repetitions.")
    ] = False,
    ignore_exif: Annotated[
        bool, typer.Option(help="Masks refer to the stored pixels, whatever EXIF says.")
    ] = False,
) -> None:
    """List every fault of a COCO-style dataset, and what is mended; exit with 1 if one is left."""
    from ggn.data.check import check_dataset

    def say(line: str, **style: Any) -> None:
        out.print(line, markup=False, highlight=False, **style)

    report = check_dataset(annotations, images, seen=seen, strict=strict, ignore_exif=ignore_exif)
    for line in _listed(report.faults):
        say(line)
    for kind, count in report.mended.items():
        say(f"{annotations}: mended in reading: {count} {kind}, first {report.first[kind]}")
    for warning in report.warnings:
        say(f"{annotations}: warning: {warning}", style="yellow")
    if report.census:
        say(f"{annotations}: {report.census}")
    if report.faults:
        number = f"{len(report.faults)} fault" + "s" * (len(report.faults) > 1)
        err.print(f"{annotations}: {number}", markup=False)
        raise typer.Exit(1)
    out.print(f"{annotations}: no fault", markup=False)


def _listed(faults: Sequence[Fault]) -> Iterator[str]:
    """The lines of all faults; of contradictions, which often fill a file, the first few."""
    contradictions = [fault for fault in faults if fault.kind == "contradiction"]
    shown = set(map(id, contradictions[:CONTRADICTIONS]))
    for fault in faults:
        if fault.kind != "contradiction" or id(fault) in shown:
            yield str(fault)
    if len(contradictions) > CONTRADICTIONS:
        reasons = Counter(f.reason.partition("; ")[2] or "of no known kind" for f in contradictions)
        kinds = ", ".join(f"{count} {kind}" for kind, count in reasons.most_common())
        more = len(contradictions) - CONTRADICTIONS
        yield f"… and {more} more objects whose box, area and mask differ; of all: {kinds}"


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
