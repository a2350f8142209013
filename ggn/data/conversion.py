"""Converts a dataset's own files to COCO style, resumably and atomically: the shared part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault, drop_faulty, find_faults, read_json, write_json
from ggn.core.files import sha256
from ggn.core.masks import area_and_box, from_runs
from ggn.data.images import image_size_hw

Record = dict[str, Any]
Converted = tuple[Record, list[Record]]
Progress = Callable[[Sequence[Any], str], Iterable[Any]]


class SourceError(ValueError):
    """The source is not the dataset, or is incomplete; the message says where to get the rest."""


@dataclass(frozen=True)
class Part:
    """One output file: what it is made from, and how."""

    name: str
    """Name of the output file, without `.json`."""
    source: Path
    """The file or folder that it is made from; messages name it."""
    items: Sequence[Any]
    """One per image."""
    convert: Callable[[Any], Converted]
    """Turns an item into an image record and its annotations; missing ids are numbered."""
    categories: Sequence[Record] | None = None
    """None: collected from the annotations, which then have `category_name`."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the output's `info`: the dataset, the set, the number of videos."""


def require(source: Path, names: Iterable[str], where: str) -> None:
    """Refuse a source that lacks some of the files or folders.

    Raises:
        SourceError: naming what is missing and `where` to get it.
    """
    if not source.is_dir():
        raise SourceError(f"{source}: no such folder; {where}")
    missing = [name for name in names if not (source / name).exists()]
    if missing:
        raise SourceError(f"{source}: lacks {', '.join(missing)}; {where}")


def convert_parts(
    parts: Sequence[Part], out: Path, *, drop: bool, progress: Progress
) -> Iterator[tuple[Path, Record]]:
    """Write each part to `out`/NAME.json and yield its path and `info`.

    Finished images are kept in a log beside the output, so that a killed conversion resumes. The
    output is written whole or not at all. If the source has changed, the log is discarded.

    Args:
        parts: of one dataset.
        out: folder for the files.
        drop: leave out and count faulty annotations instead of refusing them.
        progress: yields the given items, and shows its progress under the given title.

    Raises:
        CocoError: listing the faults, by file and id.
    """
    for part in parts:
        path, log = out / f"{part.name}.json", out / f".{part.name}.log"
        dataset = _assemble(part, _converted(part, log, progress))
        if drop:
            dataset, dropped, mended = drop_faulty(dataset, str(part.source))
            dataset["info"]["dropped"] = dropped
            dataset["info"].update({"mended": mended} if mended else {})
        elif faults := find_faults(dataset, str(part.source)):
            raise CocoError(faults)
        write_json(path, dataset)
        log.unlink()
        images, objects = len(dataset["images"]), len(dataset["annotations"])
        yield path, {**dataset["info"], "images": images, "objects": objects}


def _converted(part: Part, log: Path, progress: Progress) -> Iterator[Converted]:
    """Yield what the log has of this source, then convert and log the rest."""
    content = sha256(part.source) if part.source.is_file() else repr(part.items)
    identity = hashlib.sha256(f"{part.source} {content}".encode()).hexdigest().encode() + b"\n"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    with log.open("r+b") as file:
        if file.readline() != identity:
            file.seek(0)
            file.truncate()
            file.write(identity)
        for item in progress(part.items, part.name):
            end = file.tell()
            line = file.readline()
            if line.endswith(b"\n"):
                image, records = json.loads(line)
            else:  # the end, or a line truncated by a kill
                file.seek(end)
                file.truncate()
                image, records = part.convert(item)
                file.write(json.dumps([image, records]).encode() + b"\n")
            yield image, records


def _assemble(part: Part, converted: Iterable[Converted]) -> Record:
    images, annotations, names = [], [], {}
    image_ids, ids = count(1), count(1)
    for image, records in converted:
        image.setdefault("id", next(image_ids))
        images.append(image)
        for record in records:
            name = record.pop("category_name", None)
            if name is not None:
                names[record["category_id"]] = name
            annotations.append({"id": next(ids), "iscrowd": 0, "image_id": image["id"], **record})
    collected = [{"id": key, "name": names[key]} for key in sorted(names)]
    categories = collected if part.categories is None else list(part.categories)
    return {
        "info": dict(part.info),
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }


def read_parts(path: Path, lists: Iterable[str]) -> Record:
    """Read a JSON file that must be an object with the given lists of objects.

    Raises:
        CocoError: naming the file and what it lacks.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        reason = f"must be an object, got {type(document).__name__}"
        raise CocoError([Fault(str(path), "top level", reason)])
    for name in lists:
        value = document.get(name)
        if not isinstance(value, list):
            got = type(value).__name__ if name in document else "nothing"
            raise CocoError([Fault(str(path), name, f"must be a list, got {got}")])
        for index, record in enumerate(value):
            if not isinstance(record, dict):
                reason = f"must be an object, got {record!r}"
                raise CocoError([Fault(str(path), f"{name}[{index}]", reason)])
    return document


def take(record: Mapping[str, Any], key: str, kind: type, path: Path, where: str) -> Any:
    """Return `record[key]`, which must be of the given type.

    Raises:
        CocoError: naming the file, the record, the key and the type.
    """
    value = record.get(key)
    if type(value) is not kind:
        got = repr(value) if key in record else "nothing"
        reason = f"{key} must be of type {kind.__name__}, got {got}"
        raise CocoError([Fault(str(path), where, reason)])
    return value


def require_image(root: Path, file_name: str, owner: str, where: str) -> str:
    """Return the file name, relative to `root`, if there is such a file.

    Raises:
        SourceError: there is none; naming the file and the record `owner` that refers to it.
    """
    if not (root / file_name).is_file():
        raise SourceError(f"{owner}: its image {root / file_name}: no such file; {where}")
    return file_name


def group_by_image(document: Mapping[str, Any], path: Path) -> dict[int, list[Record]]:
    """Return the annotations by image id; every image must be listed."""
    grouped: dict[int, list[Record]] = {
        take(image, "id", int, path, f"images[{i}]"): []
        for i, image in enumerate(document["images"])
    }
    for index, annotation in enumerate(document["annotations"]):
        where = f"annotations[{index}] (id {annotation.get('id')})"
        image_id = take(annotation, "image_id", int, path, where)
        if image_id not in grouped:
            reason = f"image_id {image_id} is not the id of any of the images"
            raise CocoError([Fault(str(path), where, reason)])
        grouped[image_id].append(annotation)
    return grouped


def image_record(root: Path, file_name: str, owner: str, where: str) -> Record:
    """Return the image record of a file, its size read from its header.

    Raises:
        SourceError: the file that `owner` refers to is missing or not an image.
    """
    try:
        height, width = image_size_hw(root / file_name)
    except FileNotFoundError as error:
        raise SourceError(f"{owner}: its image {error}; {where}") from error
    except ValueError as error:
        raise SourceError(f"{owner}: {error}") from error
    return {"file_name": file_name, "height": height, "width": width}


def label_records(labels: NDArray[np.int32]) -> dict[int, Record]:
    """Return segmentation, area and bbox of each positive label of an (H, W) map, by label.

    The map is scanned once for all labels, because scenes have hundreds.
    """
    size_hw = (labels.shape[0], labels.shape[1])
    columns = labels.ravel(order="F")
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    ends = np.append(starts[1:], columns.size)
    values = columns[starts]
    records = {}
    for label in np.unique(values[values > 0]).tolist():
        inside = values == label
        edges = np.column_stack([starts[inside], ends[inside]]).ravel()
        counts = np.diff(edges, prepend=0, append=columns.size).tolist()
        rle = from_runs(counts, size_hw)
        records[label] = {"segmentation": rle, **area_and_box(rle)}
    return records
