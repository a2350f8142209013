"""The command init: makes a split of params.yaml from annotations and a folder of images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ggn.cli.app import app, err, out
from ggn.cli.proposal import Size


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new split: letters, digits, _.")],
    annotations: Annotated[Path, typer.Argument(help="COCO-style JSON file.")],
    images: Annotated[Path, typer.Option(help="Folder of its images.")],
    seen: Annotated[
        str,
        typer.Option(help="Categories to learn: a partition, or names and ids with commas."),
    ],
    val: Annotated[
        Path | None,
        typer.Option(help="COCO-style file to evaluate on; by default, images are held out."),
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(help="Folder of the images of --val; by default --images.")
    ] = None,
    val_share: Annotated[float, typer.Option(help="Share of the images to hold out.")] = 0.2,
    size: Annotated[
        Size,
        typer.Option(
            help="small: on a CPU, no download; medium: ResNet-18; reference: as published."
        ),
    ] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of held-out images.")] = 0,
    force: Annotated[bool, typer.Option(help="Overwrite train.json and val.json.")] = False,
) -> None:
    """Add your own dataset to params.yaml.

    Checks the files, holds out validation images, and proposes settings that fit the objects.
    """
    from ggn.cli.params_file import with_split
    from ggn.cli.proposal import entry_text, propose
    from ggn.core.coco import write_json
    from ggn.core.files import write_text
    from ggn.data.holdout import hold_out
    from ggn.data.splits import resolve_text
    from ggn.data.survey import survey
    from pipelines.stage import load_params, read_params
    from pipelines.stage.params import PARAMS_FILE

    document = read_params()
    _refuse(name, document, val_share)
    if val is None and val_images is not None:
        raise ValueError(f"--val-images {val_images}: needs --val")
    if not seen.strip(" ,"):
        raise ValueError("--seen must name a partition or categories, got an empty string")
    dataset = _checked(annotations, images)
    ids = resolve_text(dataset["categories"], seen)
    folder = Path("data/raw") / name
    if val is None:
        train, held_out = hold_out(dataset, val_share, seed)
        train_file, val_file = folder / "train.json", folder / "val.json"
        files = {train_file: train, val_file: held_out}
        _refuse_files(files, force)
    else:
        train, held_out, files = dataset, _checked(val, val_images or images), {}
        train_file, val_file = annotations, val
    try:
        found = survey(train, ids)
    except ValueError as error:
        raise ValueError(f"{annotations}: {error} (--seen {seen})") from None
    data = {
        "root": ".",
        "train_annotations": _path(train_file),
        "train_images": _path(images),
        "val_annotations": _path(val_file),
        "val_images": _path(val_images or images),
        "seen": _spec(dataset["categories"], seen),
    }
    entry = entry_text(name, propose(found, size, data), found, size)
    text = with_split(PARAMS_FILE.read_text("utf-8"), name, entry)
    for path, part in files.items():
        write_json(path, part)
        out.print(f"{path}: {len(part['images'])} images, {len(part['annotations'])} objects")
    write_text(PARAMS_FILE, text)
    out.print(entry, markup=False, highlight=False)
    out.print(f"{PARAMS_FILE}: added the split {name}; it alone is active", highlight=False)
    _say_cost(load_params(name), found, len(held_out["images"]))


def _refuse(name: str, document: dict[str, Any], val_share: float) -> None:
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"NAME must be a letter followed by letters, digits or _, got {name!r}")
    if name in document["splits"]:
        raise ValueError(f"params.yaml: splits.{name} already exists; choose another name")
    if not 0 < val_share < 1:
        raise ValueError(f"--val-share must be between 0 and 1, got {val_share}")


def _refuse_files(files: dict[Path, Any], force: bool) -> None:
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise ValueError(f"{', '.join(there)}: already there; --force overwrites")


def _checked(annotations: Path, images: Path) -> dict[str, Any]:
    """Read a file as the stage `prepare` will, with its repairs and its errors."""
    from ggn.data.params import DataParams
    from ggn.data.prepare import read_part

    return read_part(annotations, images, DataParams(root="."), None).dataset


def _spec(categories: Sequence[Any], text: str) -> str | list[str]:
    """Return the entry of params.yaml for a string that `resolve_text` takes."""
    from ggn.data.categories import CategoryWords
    from ggn.data.splits import PARTITIONS

    name = text.strip().removeprefix("partition:")
    return name if name in PARTITIONS else CategoryWords(categories).split(text)


def _path(path: Path) -> str:
    """Return a path relative to the checkout unless it is absolute, as DVC and Docker see it."""
    relative = os.path.relpath(path)
    return path.as_posix() if path.is_absolute() else Path(relative).as_posix()


def _say_cost(sections: Any, found: Any, val_images: int) -> None:
    from ggn.cli.cost import estimate_seconds, told
    from pipelines.stage import predicting_device

    device = predicting_device()
    err.print("timing the networks …", highlight=False)
    seconds = estimate_seconds(sections, found, val_images, device)
    out.print(
        f"`dvc repro` will take about {told(seconds)} on this machine ({device}) with nothing "
        "else running; after a kill it resumes",
        markup=False,
        highlight=False,
    )
