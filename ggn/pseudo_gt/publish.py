"""Writes selected pseudo masks: as JSON for any tool, or as a store of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import CocoError, Fault, read_json, write_json
from ggn.core.instances import Instances
from ggn.core.spelling import respelt
from ggn.data.mask_store import MaskStore, MaskStoreWriter, replace_store
from ggn.pseudo_gt.merge import from_interchange, merge, pseudo_category, records

Selected = Iterable[tuple[int, Instances, NDArray[np.float64]]]
"""Image ids, ascending, with the pseudo masks of each and their largest IoU with an annotation."""


def write_as_json(
    dataset: dict[str, Any], selected: Selected, folder: Path, training_file: Path
) -> None:
    """Write `interchange.json` and `pseudo_gt.json` to `folder`, and the merged training file."""
    category = pseudo_category(dataset)
    pseudo = {i: records(i, chosen, overlap, category["id"]) for i, chosen, overlap in selected}
    lists = [pseudo[image["id"]] for image in dataset["images"]]
    write_json(folder / "interchange.json", lists)
    write_json(folder / "pseudo_gt.json", merge({**dataset, "annotations": []}, lists, category))
    write_json(training_file, merge(dataset, lists, category))


def write_as_store(
    dataset: dict[str, Any], selected: Selected, folder: Path, training_file: Path
) -> None:
    """Write a store to `folder`, and a training file with only the annotations that names it.

    The training file has the store's checksum, so it changes whenever a pseudo mask does.
    """
    with MaskStoreWriter(folder) as writer:
        for image_id, chosen, overlap in selected:
            writer.add(image_id, chosen, overlap.tolist())
    named = {"store": folder.as_posix(), "sha256": MaskStore(folder).digest}
    write_json(training_file, {**dataset, "pseudo_gt": named})


def import_interchange(source: Path, folder: Path) -> int:
    """Write a store from a file, or from a folder with `{image_id}.json` per image.

    A file has lists in the interchange format, or COCO results, whose masks have the size of their
    images.

    Returns:
        The number of images.

    Raises:
        CocoError: naming the file and the fault.
        FileNotFoundError: there is neither a file nor a folder.
        ValueError: there is no file in the folder, or a file is not named after its image.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    images = _listed(source) if source.is_file() else _single_files(source)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    with TemporaryDirectory(dir=there, prefix=".import-") as scratch:
        with MaskStoreWriter(Path(scratch)) as writer:  # a store that is there stays until then
            for image_id, masks, overlap in images:
                writer.add(image_id, masks, overlap)
        replace_store(Path(scratch), folder)
    return len(MaskStore(folder))


def _listed(file: Path) -> Iterator[tuple[int, Instances, list[float]]]:
    lists = read_json(file)
    if isinstance(lists, list) and lists and isinstance(lists[0], dict):
        lists = _by_image(lists, file)
    found = sorted(from_interchange(lists, str(file)), key=lambda entry: entry[0])
    overlap = {entry[0]["image_id"]: _overlap(entry) for entry in lists if entry}
    yield from ((image_id, masks, overlap[image_id]) for image_id, masks in found)


def _by_image(results: list[Any], file: str | Path) -> list[list[dict[str, Any]]]:
    """Return COCO results as lists in the interchange format, one per image, best first.

    Raises:
        CocoError: a record lacks image id, mask or score; it is named.
    """
    lists: dict[int, list[dict[str, Any]]] = {}
    for index, given in enumerate(results):
        record = {**given, **respelt(given)[0]} if isinstance(given, dict) else given
        if isinstance(record, dict) and record.get("score") is None:
            record["score"] = record.get("predicted_iou")  # of SAM
        match record:
            case {"image_id": int(key), "segmentation": {"size": size}, "score": int() | float()}:
                lists.setdefault(key, []).append({**record, "orig_shape": size})
            case _:
                reason = "must have image_id (an integer), segmentation (run lengths) and score"
                raise CocoError([Fault(str(file), f"[{index}]", reason)])
    for entry in lists.values():
        entry.sort(key=lambda record: -record["score"])
    return list(lists.values())


def _single_files(folder: Path) -> Iterator[tuple[int, Instances, list[float]]]:
    """Yield the images of a folder; memory holds only the file names and one image."""
    files = {int(path.stem): path for path in folder.glob("*.json") if path.stem.isdecimal()}
    if not files:
        raise ValueError(f"{folder}: has no file named after an image id, such as 139.json")
    for image_id, path in sorted(files.items()):
        entry = read_json(path)
        for found_id, masks in from_interchange([entry], str(path)):
            if found_id != image_id:
                raise ValueError(f"{path}: holds image {found_id}, not that of its name")
            yield image_id, masks, _overlap(entry)


def _overlap(entry: list[dict[str, Any]]) -> list[float]:
    return [float(record.get("gt_iou", 0.0)) for record in entry]


def export_interchange(store: MaskStore, out: Path, category_id: int) -> None:
    """Write a store as one interchange file if `out` ends in .json, else as one file per image."""
    images = (
        (image_id, records(image_id, masks, np.array(overlap), category_id))
        for image_id, masks, overlap in store
    )
    if out.suffix == ".json":
        write_json(out, [entry for _, entry in images])
        return
    for image_id, entry in images:
        write_json(out / f"{image_id}.json", entry)
