"""LVIS v1 and v0.5: COCO's images with over a thousand categories and federated annotations."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ggn.core.coco import FEDERATION_KEYS, CocoError, Fault
from ggn.data.conversion import (
    Converted,
    Part,
    SourceError,
    group_by_image,
    read_parts,
    require,
    require_image,
    take,
)

WHERE = (
    "get lvis_v1_{train,val}.json (or lvis_v0.5_…) from lvisdataset.org into annotations/ or the "
    "folder itself, and train2017.zip and val2017.zip from cocodataset.org"
)
VERSIONS = ("v1", "v0.5")


def parts(source: Path) -> list[Part]:
    """Return train and val of the newest version found; both parts must be of one version.

    The images keep `neg_category_ids` and `not_exhaustive_category_ids`, the categories their
    `synset`. An image's folder is that of its `coco_url` (v1: much of val lies in train2017) or,
    in v0.5, that of the part.

    Raises:
        SourceError: naming what is missing.
        CocoError: naming the file, the id and the key of what is malformed.
    """
    require(source, ["train2017", "val2017"], WHERE)
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    found = [v for v in VERSIONS if any((folder / file).is_file() for file in _files(v))]
    if not found:
        raise SourceError(f"{folder}: lacks {' and '.join(_files('v1'))}; {WHERE}")
    require(folder, _files(found[0]), WHERE)
    files = zip(_files(found[0]), ("train", "val"), strict=True)
    return [_part(source, folder / file, part, found[0]) for file, part in files]


def _files(version: str) -> tuple[str, str]:
    return f"lvis_{version}_train.json", f"lvis_{version}_val.json"


def _part(source: Path, path: Path, part: str, version: str) -> Part:
    document = read_parts(path, ("images", "categories", "annotations"))
    known = set()
    for index, category in enumerate(document["categories"]):
        where = f"categories[{index}]"
        known.add(take(category, "id", int, path, where))
        take(category, "synset", str, path, f"{where} (id {category['id']})")
    objects = group_by_image(document, path)

    def convert(image: dict[str, Any]) -> Converted:
        where = f"image {image['id']}"
        lists = {key: take(image, key, list, path, where) for key in FEDERATION_KEYS}
        for key, ids in lists.items():
            for strange in (identity for identity in ids if identity not in known):
                reason = f"{key} has {strange!r}, which is not the id of any of the categories"
                raise CocoError([Fault(str(path), where, reason)])
        record = {**image, **lists, "file_name": _file_name(image, part, path)}
        require_image(source, record["file_name"], f"{path}: {where}", WHERE)
        return record, [{"iscrowd": 0, **annotation} for annotation in objects[image["id"]]]

    info = {"dataset": f"lvis {version}", "set": part}
    return Part(part, path, document["images"], convert, document["categories"], info)


def _file_name(image: dict[str, Any], part: str, path: Path) -> str:
    """Return folder and name in COCO 2017, whose names lack the prefix `COCO_train2014_`."""
    if "coco_url" in image:
        url = take(image, "coco_url", str, path, f"image {image['id']}")
        folder, name = ("", *PurePosixPath(url).parts)[-2:]
        if folder not in ("train2017", "val2017"):
            reason = f"coco_url must end in train2017/NAME or val2017/NAME, got {url!r}"
            raise CocoError([Fault(str(path), f"image {image['id']}", reason)])
        return f"{folder}/{name}"
    name = take(image, "file_name", str, path, f"image {image['id']}")
    return f"{part}2017/{name.rpartition('_')[2]}"
