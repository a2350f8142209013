"""Converts the reference's released files to our formats."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggn.core.coco import CocoError, Fault, drop_faulty, read_json, write_json
from ggn.zoo.rows import LICENCE, LICENCE_TEXT, ReferenceFile

WEIGHT_KINDS = ("affinity", "detector")
"""Kinds of files with weights."""


def converted_name(file: ReferenceFile) -> str:
    """Return the name of the folder or file that a released file becomes."""
    return f"{file.name}.json" if file.kind == "annotations" else file.name


def convert(
    file: ReferenceFile, brought: Path, scratch: Path, target: Path, origin: Mapping[str, object]
) -> None:
    """Convert a released file to our format.

    Weights become a folder that `load_detector` or `load_affinity` reads, pseudo ground truth a
    store (`ggn.data.mask_store`), annotations a COCO-style file.

    Args:
        file: what the file should be.
        brought: the file; pseudo ground truth and annotations may be in a zip or tar archive.
        scratch: folder for unpacked files.
        target: output path, which does not exist yet.
        origin: where the file came from, for the card of weights.

    Raises:
        WeightsError, CocoError, ValueError: the file is not what it should be.
    """
    if file.kind in WEIGHT_KINDS:
        _convert_weights(file, brought, target, origin)
        return
    source = _unpacked(brought, scratch / "unpacked")
    if file.kind == "pseudo_gt":
        from ggn.pseudo_gt.publish import import_interchange

        import_interchange(source, target)
    elif source.is_file():
        write_json(target, _dataset(source))
    else:
        raise ValueError(f"{brought}: must contain one JSON file of annotations")


def _convert_weights(
    file: ReferenceFile, brought: Path, target: Path, origin: Mapping[str, object]
) -> None:
    from ggn.engine.weights import save_weights
    from ggn.openmmlab import build_model, load_checkpoint
    from ggn.openmmlab.models import model_params

    kind = file.model or ""
    model, params = build_model(kind), model_params(kind)
    load_checkpoint(model, brought)
    card = {
        "kind": file.kind,
        "params": params.model_dump(),
        "converted_from": dict(origin),
        "licence": f"{LICENCE}, {LICENCE_TEXT}",
    }
    save_weights(model, target, card)


def _unpacked(brought: Path, folder: Path) -> Path:
    """Return a JSON file as it is; of an archive, its JSON file or the folder of several."""
    if zipfile.is_zipfile(brought):
        with zipfile.ZipFile(brought) as archive:
            archive.extractall(folder)  # noqa: S202 (zipfile keeps names inside the folder)
    elif tarfile.is_tarfile(brought):
        with tarfile.open(brought) as archive:
            archive.extractall(folder, filter="data")
    else:
        return brought
    files = list(folder.rglob("*.json"))
    folders = {path.parent for path in files}
    if len(folders) != 1:
        raise ValueError(
            f"{brought}: its JSON files must be in one folder of the archive, "
            f"found {len(files)} files in {len(folders)} folders"
        )
    return files[0] if len(files) == 1 and not files[0].stem.isdecimal() else folders.pop()


def _dataset(path: Path) -> dict[str, Any]:
    """Read annotations of COCO or LVIS; faulty ones are left out and counted in `info`."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise CocoError([Fault(str(path), "file", "must be a JSON object, like COCO's files")])
    for image in _records(document, "images"):
        if "file_name" not in image and isinstance(image.get("coco_url"), str):
            image["file_name"] = "/".join(image["coco_url"].split("/")[-2:])  # as LVIS v1 names it
    for annotation in _records(document, "annotations"):
        annotation.setdefault("iscrowd", 0)
    dataset, dropped, mended = drop_faulty(document, str(path))
    info = document.get("info")
    facts = {"dropped": dropped, **({"mended": mended} if mended else {})}
    return {**dataset, "info": {**(info if isinstance(info, dict) else {}), **facts}}


def _records(document: dict[str, Any], section: str) -> list[dict[str, Any]]:
    found = document.get(section)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
