"""Options that `ggn predict` and `ggn group` share, and what is refused before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from ggn.cli.sources import Source
from ggn.core.instances import Instances

COCO: Final = "coco"
Images = Annotated[
    list[str],
    typer.Argument(
        help="Image files, folders, globs in quotes, one COCO file, or - for a list of files "
        "on standard input.",
        show_default=False,
    ),
]
ImagesDir = Annotated[
    Path | None, typer.Option("--images", help="Folder of the COCO file's images.")
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Also search subfolders.")]
MinScore = Annotated[float | None, typer.Option(help="Leave out masks with a lower score.")]
MaxDetections = Annotated[int | None, typer.Option(min=1, help="Keep the best N per image.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="coco (results.json only), or also files for yolo, labelme, cvat or label-studio.",
    ),
]
Bits = Annotated[
    int,
    typer.Option(
        min=9,
        max=16,
        help="How many bits of 16-bit images are in use; the same as data.bits in training.",
    ),
]
Top = Annotated[int, typer.Option(min=1, help="How many instances a picture shows.")]
Pictures = Annotated[bool, typer.Option(help="Write a picture of each image, or don't.")]


@dataclass(frozen=True)
class Limit:
    """Which instances of an image are kept.

    Raises:
        ValueError: the score is NaN, less than which is nothing.
    """

    min_score: float | None
    max_detections: int | None

    def __post_init__(self) -> None:
        """Check the score."""
        if self.min_score is not None and math.isnan(self.min_score):
            raise ValueError("--min-score must be a number, got nan")

    def __call__(self, instances: Instances) -> Instances:
        """Return the instances to keep; they must come best first."""
        kept = (
            instances if self.min_score is None else instances[instances.scores >= self.min_score]
        )
        return kept[: self.max_detections]


def refuse_format(name: str, source: Source) -> None:
    """Raise ValueError if the images can't be written in a format."""
    from ggn.formats import FORMATS, refuse_shared_files

    if name == COCO:
        return
    if name not in FORMATS:
        raise ValueError(f"--format must be one of {COCO}, {', '.join(FORMATS)}, got {name!r}")
    refuse_shared_files(name, [photo.file_name for photo in source.photographs])
