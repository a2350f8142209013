"""Whether and how a call processes an image in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import typer
from rich.progress import Progress

AUTO: Final = "auto"
NO: Final = "no"
LONGEST_PICTURE: Final = 2048
"""Longest side of the picture of a tiled image, in pixels."""
MOST_DRAWN: Final = 200
"""Most instances that the picture of a tiled image shows; more would be a blur."""
MEGAPIXEL: Final = 1_000_000


def tile_option(above: int) -> Any:
    """Return the option --tile of a command that tiles images of more than `above` pixels."""
    return typer.Option(
        "--tile",
        help=f"Process images in tiles: auto (above {above // MEGAPIXEL} megapixels), no, or the "
        "side of a tile in pixels, for every image with a longer side.",
    )


@dataclass(frozen=True)
class Tiling:
    """Which images are tiled, and how."""

    above: int | None
    """Images with more pixels are tiled, if a side is longer than a tile; None: no image is."""
    side: int
    """Side of a tile, in pixels."""

    @property
    def overlap(self) -> int:
        """Width that neighbouring tiles share; objects up to this length lie whole in a tile."""
        return self.side // 4

    def applies(self, image: Any) -> bool:
        """Whether an image (H, W, …) is tiled."""
        height, width = image.shape[:2]
        large = self.above is not None and height * width > self.above
        return large and max(height, width) > self.side


def tiling(option: str, above: int, side: int) -> Tiling:
    """Return what --tile asks for; `above` (pixels of an image) and `side` are for auto.

    Raises:
        ValueError: it is not auto, no, or a side from 64 to 65536.
    """
    if option == AUTO:
        return Tiling(above, side)
    if option == NO:
        return Tiling(None, side)
    if not option.isascii() or not option.isdecimal() or not 64 <= int(option) <= 2**16:
        raise ValueError(f"--tile must be auto, no, or a side from 64 to 65536, got {option!r}")
    return Tiling(0, int(option))


@contextmanager
def tile_progress(bar: Progress, name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of an image's tiles during the body; yields a function to advance it."""
    task = bar.add_task(f"tiles of {name}", total=total)
    try:
        yield partial(bar.advance, task)
    finally:
        bar.remove_task(task)


def picture_level(levels: Sequence[Any]) -> int:
    """Return the level of an image to draw: the largest that is small enough, or the last."""
    small = [i for i, it in enumerate(levels) if max(it.shape[:2]) <= LONGEST_PICTURE]
    return min(small, default=len(levels) - 1)
