"""The command init: from annotations and a folder of images to a split of params.yaml."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ggn.cli.app import app, err, out
from ggn.cli.proposal import Size

if TYPE_CHECKING:
    from ggn.data.categories import CategoryWords


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Of the new split: letters, digits, underscores.")],
    annotations: Annotated[Path, typer.Argument(help="COCO-style JSON file.")],
    images: Annotated[Path, typer.Option(help="Folder of its images.")],
    seen: Annotated[
        str,
        typer.Option(help="Categories to learn from: a partition, or names and ids with commas."),
    ],
    val: Annotated[
        Path | None,
        typer.Option(help="COCO-style file to evaluate on; by default, images are held out."),
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(help="Its folder; by default --images.")
    ] = None,
    val_share: Annotated[float, typer.Option(help="Share of the images that is held out.")] = 0.2,
    size: Annotated[
        Size,
        typer.Option(help="small: a CPU, no download; medium: ResNet-18; reference: as published."),
    ] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of those held out.")] = 0,
    force: Annotated[bool, typer.Option(help="Write train.json and val.json anew.")] = False,
) -> None:
    """Add your own dataset to params.yaml: checked, parted, with settings that fit its objects."""
    from ggn.cli.params_file import with_split, write_text
    from ggn.cli.proposal import entry_text, propose
    from ggn.core.coco import write_json
    from ggn.data.categories import CategoryWords, used_categories
    from ggn.data.holdout import hold_out
    from ggn.data.splits import resolve_categories
    from ggn.data.survey import survey
    from pipelines.stage import load_params, read_params
    from pipelines.stage.params import PARAMS_FILE

    document = read_params()
    _refuse(name, document, val_share)
    dataset = _checked(annotations, images)
    used = used_categories(dataset["annotations"])
    spec = _spec(seen, CategoryWords(dataset["categories"], used))
    ids = resolve_categories(dataset["categories"], spec, used)
    folder = Path("data/raw") / name
    if val is None:
        train, held_out = hold_out(dataset, val_share, seed)
        train_file, val_file = folder / "train.json", folder / "val.json"
        files = {train_file: train, val_file: held_out}
        _refuse_files(files, force)
    else:
        train, held_out, files = dataset, _checked(val, val_images or images), {}
        train_file, val_file = annotations, val
    found = survey(train, ids)
    data = {
        "root": ".",
        "train_annotations": _path(train_file),
        "train_images": _path(images),
        "val_annotations": _path(val_file),
        "val_images": _path(val_images or images),
        "seen": spec,
    }
    entry = entry_text(name, propose(found, size, data), found, size)
    text = with_split(PARAMS_FILE.read_text("utf-8"), name, entry)
    for path, part in files.items():
        write_json(path, part)
        out.print(f"{path}: {len(part['images'])} images, {len(part['annotations'])} objects")
    write_text(PARAMS_FILE, text)
    out.print(entry, markup=False, highlight=False)
    out.print(f"{PARAMS_FILE}: has the split {name}, and it alone is active", highlight=False)
    _say_cost(load_params(name), found, len(held_out["images"]))


def _refuse(name: str, document: dict[str, Any], val_share: float) -> None:
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"NAME must begin with a letter; letters, digits and _ follow: {name!r}")
    if name in document["splits"]:
        raise ValueError(f"params.yaml: splits.{name} is there already; choose another name")
    if not 0 < val_share < 1:
        raise ValueError(f"--val-share must be between 0 and 1, got {val_share}")


def _refuse_files(files: dict[Path, Any], force: bool) -> None:
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise ValueError(f"{', '.join(there)}: there already; --force writes anew")


def _checked(annotations: Path, images: Path) -> dict[str, Any]:
    """What `prepare` will read; what it will mend is mended, what it will refuse is refused."""
    from ggn.core.coco import CocoError, read_json
    from ggn.core.mending import mend
    from ggn.data.check import inspect_images

    done = mend(read_json(annotations), str(annotations))
    faults = done.faults or inspect_images(done.dataset["images"], str(annotations), images).faults
    if faults:
        raise CocoError(faults)
    return done.dataset


def _spec(seen: str, categories: CategoryWords) -> str | list[str | int]:
    from ggn.data.splits import PARTITIONS

    if seen in PARTITIONS:
        return seen
    words = [word.strip() for word in categories.split(seen)]
    if not words:
        raise ValueError("--seen must name a partition or categories, got an empty string")
    return [int(word) if word.isdecimal() else word for word in words]


def _path(path: Path) -> str:
    """From the checkout, where it lies in or beside it; DVC and Docker see it so, too."""
    relative = os.path.relpath(path)
    return path.as_posix() if path.is_absolute() else Path(relative).as_posix()


def _say_cost(sections: Any, found: Any, val_images: int) -> None:
    from ggn.cli.cost import estimate_seconds, told
    from pipelines.stage import predicting_device

    device = predicting_device()
    err.print("timing the networks …", highlight=False)
    seconds = estimate_seconds(sections, found, val_images, device)
    out.print(
        f"`dvc repro` will take about {told(seconds)} on this machine ({device}); it goes on "
        "where it was killed",
        markup=False,
        highlight=False,
    )
