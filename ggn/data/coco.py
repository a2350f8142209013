"""COCO 2017: the official files, checked, with both parts under one root."""

from pathlib import Path
from typing import Any

from ggn.data.conversion import (
    Converted,
    Part,
    group_by_image,
    read_parts,
    require,
    require_image,
    take,
)

WHERE = "get train2017.zip, val2017.zip and annotations_trainval2017.zip from cocodataset.org"


def parts(source: Path) -> list[Part]:
    """Return train and val of annotations/instances_{train,val}2017.json.

    Raises:
        SourceError: naming what is missing.
    """
    names = ("train", "val")
    files = {name: f"annotations/instances_{name}2017.json" for name in names}
    require(source, [*files.values(), *(f"{name}2017" for name in names)], WHERE)
    return [_part(source, source / files[name], name) for name in names]


def _part(source: Path, path: Path, name: str) -> Part:
    document = read_parts(path, ("images", "categories", "annotations"))
    objects = group_by_image(document, path)

    def convert(image: dict[str, Any]) -> Converted:
        owner = f"image {image['id']}"
        file_name = f"{name}2017/{take(image, 'file_name', str, path, owner)}"
        require_image(source, file_name, f"{path}: {owner}", WHERE)
        return {**image, "file_name": file_name}, objects[image["id"]]

    info = {"dataset": "coco 2017", "set": name}
    return Part(name, path, document["images"], convert, document["categories"], info)
