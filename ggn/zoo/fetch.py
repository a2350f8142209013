"""Files that the reference's authors released: downloaded, checked, converted, put under DVC."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from ggn.core.coco import read_coco, read_json, write_json
from ggn.zoo import versioned
from ggn.zoo.download import download
from ggn.zoo.rows import ReferenceFile, Row


class FetchError(ValueError):
    """A released file that cannot be had, or is not the one it should be."""


def wanted_files(row: Row, name: str | None, source: str | None) -> tuple[ReferenceFile, ...]:
    """Return the file of that name, or by default all of a row whose address is known.

    Raises FetchError, with what to type, where that is none, or an address is for no one file.
    """
    if name is not None:
        return (row.file(name),)
    names = ", ".join(file.name for file in row.files) or "nothing"
    if source is not None:
        raise FetchError(f"{row.split}: --file says what is there; released were: {names}")
    known = tuple(file for file in row.files if file.url is not None)
    if not known:
        raise FetchError(
            f"{row.split}: released were: {names}. We know no address of them; with one, or with a "
            f"file on disk: ggn zoo fetch {row.split} --file NAME --url ADDRESS"
        )
    return known


def fetch(root: Path, row: Row, file: ReferenceFile, source: str | None = None) -> Path:
    """Bring one released file and convert it to `releases/ROW/NAME`, under DVC.

    What was brought is recorded in `releases/ROW/NAME.source.json`: address, size, SHA-256. A later
    fetch must bring the same. Nothing of the file is executed; a conversion appears whole or not at
    all.

    Args:
        root: the checkout.
        row: the row of the published zoo.
        file: one of its files.
        source: an address or a file on disk; by default the address that `file` states.

    Raises:
        FetchError: no address is known, or the file is not the one that it should be.
        DownloadError: the address does not answer, or the connection broke.
        WeightsError, CocoError: the file is not what the row says it is.
    """
    source = source or file.url
    if source is None:
        raise FetchError(
            f"{row.split}: no address is known of {file.name}; say it: "
            f"`ggn zoo fetch {row.split} --file {file.name} --url ADDRESS` (or a file on disk)"
        )
    folder = root / "releases" / row.split
    record = folder / f"{file.name}.source.json"
    scratch = root / ".scratch" / "fetch" / f"{row.split}-{file.name}"
    scratch.mkdir(parents=True, exist_ok=True)
    brought = Path(source) if _is_local(source) else download(source, scratch)
    if not brought.is_file():
        raise FetchError(f"{source}: no such file")
    said = {"source": source, "size": brought.stat().st_size, "sha256": _sha256(brought)}
    target = folder / _name(file)
    fresh = folder / f".{target.name}.{os.getpid()}"
    try:
        _refuse_another(file, record, said)
        folder.mkdir(parents=True, exist_ok=True)
        convert(file, brought, fresh, {"row": row.split, **said})
        _remove(target)
        fresh.rename(target)
    finally:
        _remove(fresh)
        shutil.rmtree(scratch)
    write_json(record, said, indent=1)
    versioned.add(root, [target])
    return target


def convert(file: ReferenceFile, brought: Path, target: Path, origin: dict[str, object]) -> None:
    """Write what a released file holds in our form: a folder of weights, or a COCO-style file."""
    if file.kind in {"affinity", "detector"}:
        _convert_weights(file, brought, target, origin)
    elif file.kind == "pseudo_gt":
        write_json(target, pseudo_gt_dataset(brought))
    else:
        write_json(target, read_coco(brought))


def pseudo_gt_dataset(path: Path) -> dict[str, object]:
    """Return the pseudo ground truth of an interchange file as a COCO-style dataset.

    Its images are those with a mask, named as COCO names them (`000000000042.jpg`); their order is
    the file's.

    Raises CocoError, naming the list, the object and the key at fault.
    """
    import numpy as np

    from ggn.pseudo_gt.merge import from_interchange, merge, pseudo_category, records

    images, lists = [], []
    category = pseudo_category({"categories": []})
    for image_id, masks in from_interchange(read_json(path), str(path)):
        height, width = masks.image_size_hw
        name = f"{image_id:012d}.jpg"
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        found = records(image_id, masks, np.zeros(len(masks)), category["id"])
        lists.append([{k: v for k, v in entry.items() if k != "gt_iou"} for entry in found])
    return merge({"images": images, "annotations": [], "categories": []}, lists, category)


def _convert_weights(
    file: ReferenceFile, brought: Path, target: Path, origin: dict[str, object]
) -> None:
    from ggn.engine.weights import save_weights
    from ggn.openmmlab import build_model, load_weights
    from ggn.openmmlab.models import model_params

    kind = file.model or ""
    model, params = build_model(kind), model_params(kind)
    load_weights(model, brought)
    card = {"kind": file.kind, "params": params.model_dump(), "converted_from": origin}
    save_weights(model, target, card)


def _refuse_another(file: ReferenceFile, record: Path, said: dict[str, object]) -> None:
    """Compare size and hash with those that the row states, or that the first fetch recorded."""
    known = {"size": file.size, "sha256": file.sha256}
    if record.exists():
        known = {**read_json(record), **{k: v for k, v in known.items() if v is not None}}
    for key in ("size", "sha256"):
        if known.get(key) is not None and known[key] != said[key]:
            raise FetchError(
                f"{said['source']}: not the file it should be: {key} is {said[key]}, "
                f"not {known[key]}; it is damaged, or was replaced. Nothing was changed"
                + (f"; to accept it, remove {record.name}" if record.exists() else "")
            )


def _name(file: ReferenceFile) -> str:
    return file.name if file.kind in {"affinity", "detector"} else f"{file.name}.json"


def _is_local(source: str) -> bool:
    return "://" not in source


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
