"""Writes the results of a call: one results file, and a list of its images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ggn.cli.app import err, out
from ggn.cli.imagewise import Call, Failure, Find, finished_images
from ggn.cli.options import COCO
from ggn.cli.sources import Source
from ggn.core.coco import write_json
from ggn.formats import Labelled, write_format
from ggn.store.export import export_coco_results
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store

CATEGORIES = [{"id": 1, "name": "object"}]


def write_results(folder: Path, source: Source, store: Store, noun: str) -> None:
    """Write results.json (COCO results) and, if there is no COCO file of the images, images.json.

    images.json is a COCO file without annotations: ids, sizes, and names relative to
    `source.folder`.
    """
    records: list[dict[str, Any]] = []
    names = {photo.image_id: photo.file_name for photo in source.photographs}

    def noting_sizes() -> Iterator[ImageInstances]:
        for item in store:
            height, width = item.instances.image_size_hw
            name = names[item.image_id]
            records.append(
                {"id": item.image_id, "file_name": name, "height": height, "width": width}
            )
            yield item

    count = export_coco_results(noting_sizes(), folder / "results.json")
    plural = "" if store.images == 1 else "s"
    said = f"{folder / 'results.json'}: {count} {noun} in {store.images} image{plural}"
    if source.dataset is None:
        dataset = {"images": records, "categories": CATEGORIES, "annotations": []}
        write_json(folder / "images.json", dataset)
        said += f"; images.json lists their ids, and their names in {source.folder}"
    else:
        said += f"; ids are those of {source.dataset}"
    out.print(said, markup=False, highlight=False)


def write_for_tool(folder: Path, source: Source, store: Store, name: str) -> None:
    """Also write the results in the format of a tool."""
    photographs = {photo.image_id: photo for photo in source.photographs}
    labelled = (
        Labelled(
            item.image_id,
            photographs[item.image_id].file_name,
            photographs[item.image_id].path,
            item.instances,
        )
        for item in store
    )
    written = write_format(name, labelled, folder)
    out.print(f"{name}: {', '.join(map(str, written))}", markup=False, highlight=False)


def report_failures(failures: list[Failure], images: int) -> None:
    """List the images that could not be read, with reasons, on stderr."""
    lines = [f"ggn: {len(failures)} of {images} images could not be read:"]
    lines += [f"  {failure.reason}" for failure in failures]
    err.print("\n".join(lines), style="red", markup=False, highlight=False)


def finish(call: Call, find: Find, noun: str, file_format: str) -> None:
    """Do a call's work, write its results, list the images that could not be read."""
    if call.source.others:
        err.print(
            f"left out {call.source.others} files that do not have the suffix of an image",
            highlight=False,
        )
    with finished_images(call, find) as (store, failures):
        if store is not None:
            write_results(call.out, call.source, store, noun)
            if file_format != COCO:
                write_for_tool(call.out, call.source, store, file_format)
    if failures:
        report_failures(failures, len(call.source.photographs))
        raise typer.Exit(1)
