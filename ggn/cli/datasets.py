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
from ggn.cli.places import require_folder
from ggn.core.coco import Fault

CONTRADICTIONS = 10  # listed per file

Dataset = Literal["coco", "lvis", "uvo", "ade20k", "imagenet", "bbbc038"]


@app.command()
def check(
    annotations: Annotated[Path, typer.Argument(help="COCO-style JSON file, gzipped or not.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of its images; without it only the JSON is checked.")
    ] = None,
    seen: Annotated[
        str | None, typer.Option(help="Also check for objects of these categories.")
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Count repairs and duplicates as faults, too.")
    ] = False,
    ignore_exif: Annotated[
        bool, typer.Option(help="Masks refer to the stored pixels, whatever EXIF says.")
    ] = False,
) -> None:
    """List the faults of a COCO-style dataset, and what can be repaired; exit with 1 on faults."""
    from ggn.data.check import check_dataset

    def say(line: str, **style: Any) -> None:
        out.print(line, markup=False, highlight=False, **style)

    report = check_dataset(annotations, images, seen=seen, strict=strict, ignore_exif=ignore_exif)
    for line in _listed(report.faults):
        say(line)
    for kind, count in report.mended.items():
        say(f"{annotations}: repaired on reading: {count} {kind}, first {report.first[kind]}")
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
    """Yield a line per fault, but only the first few contradictions: they often fill a file."""
    contradictions = [fault for fault in faults if fault.kind == "contradiction"]
    shown = set(map(id, contradictions[:CONTRADICTIONS]))
    for fault in faults:
        if fault.kind != "contradiction" or id(fault) in shown:
            yield str(fault)
    if len(contradictions) > CONTRADICTIONS:
        reasons = Counter(f.reason.partition("; ")[2] or "of no known kind" for f in contradictions)
        kinds = ", ".join(f"{count} {kind}" for kind, count in reasons.most_common())
        more = len(contradictions) - CONTRADICTIONS
        yield f"… and {more} more objects whose box, area and mask disagree; in all: {kinds}"


@app.command()
def convert(
    name: Annotated[Dataset, typer.Argument(help="The dataset.")],
    source: Annotated[Path, typer.Argument(help="Folder of its official files, unpacked.")],
    out_dir: Out,
    drop_faulty: Annotated[
        bool, typer.Option(help="Leave out faulty annotations and count them.")
    ] = False,
) -> None:
    """Convert a dataset's official files to COCO style: one PART.json per part.

    Images stay in place; the files name them relative to SOURCE. A killed conversion resumes.
    """
    require_folder(out_dir)
    parts = importlib.import_module(f"ggn.data.{name}").parts(source)
    from ggn.data.conversion import convert_parts

    def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
        return track(items, title, console=err)

    for path, info in convert_parts(parts, out_dir, drop=drop_faulty, progress=progress):
        facts = ", ".join(f"{key} {value}" for key, value in info.items())
        out.print(f"{path}: {facts}", markup=False, highlight=False)
