"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ggn.formats.cvat import write_cvat
from ggn.formats.label_studio import write_label_studio
from ggn.formats.labelled import Labelled
from ggn.formats.labelme import write_labelme
from ggn.formats.yolo import write_yolo

FORMATS: Final[dict[str, Callable[[Iterable[Labelled], Path], list[Path]]]] = {
    "yolo": write_yolo,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
}
"""Each writes into a folder and returns the files, or folders of files, that it wrote."""


_NAMED_AFTER_IMAGES = ("yolo", "labelme")


def refuse_shared_files(name: str, file_names: Iterable[str]) -> None:
    """Raise ValueError unless the format exists and gives each image a file of its own.

    The tools find an image's labels by its name without suffix.
    """
    if name not in FORMATS:
        raise ValueError(f"the format must be coco, {', '.join(FORMATS)}, got {name!r}")
    first: dict[Path, str] = {}
    for file_name in file_names if name in _NAMED_AFTER_IMAGES else ():
        other = first.setdefault(Path(file_name).with_suffix(""), file_name)
        if other != file_name:
            raise ValueError(f"{name}: {other} and {file_name} would share a label file")


def write_format(name: str, images: Iterable[Labelled], folder: Path) -> list[Path]:
    """Write images in a format, one at a time; return the files and folders written."""
    folder.mkdir(parents=True, exist_ok=True)
    return FORMATS[name](images, folder)
