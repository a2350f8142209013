"""The command `ggn predict`: finds the objects of any images with a detector."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Annotated

import typer

from ggn.cli.app import Device, Out, app
from ggn.cli.imagewise import LARGE, Call, Desk, Picture
from ggn.cli.options import (
    COCO,
    Bits,
    Format,
    Images,
    ImagesDir,
    Limit,
    MaxDetections,
    MinScore,
    Pictures,
    Recursive,
    Top,
    refuse_format,
)
from ggn.cli.places import require_folder
from ggn.cli.results import finish
from ggn.cli.sources import Photograph, find_images
from ggn.cli.tile_log import tile_log
from ggn.cli.tiling import (
    AUTO,
    MOST_DRAWN,
    Tiling,
    picture_level,
    tile_option,
    tile_progress,
    tiling,
)
from ggn.core.allocation import on_disk
from ggn.core.coco import read_json
from ggn.core.instances import Instances
from ggn.tiles import count_tiles, find_in_tiles, pyramid, reduced

if TYPE_CHECKING:
    from ggn.detector import Detector


@app.command()
def predict(
    images: Images,
    weights: Annotated[
        str,
        typer.Option(
            help="The detector: a folder, a registry address (models:/SPLIT@RECIPE), or a row."
        ),
    ],
    images_dir: ImagesDir = None,
    recursive: Recursive = False,
    out_dir: Out = Path("predictions"),
    device: Device = "auto",
    min_score: MinScore = None,
    max_detections: MaxDetections = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images of one size that are processed together.")
    ] = 1,
    tile: Annotated[str, tile_option(LARGE)] = AUTO,
    bits: Bits = 16,
    file_format: Format = COCO,
    top: Top = 20,
    pictures: Pictures = True,
) -> None:
    """Find objects in images: results.json (COCO results), and a picture of each image.

    An interrupted command resumes when it is repeated. Images that can't be read are listed at the
    end; the others are done, and the exit status is 1.
    """
    from ggn.detector import load_detector
    from ggn.engine.devices import chosen_device
    from ggn.evaluation.pictures import overlay, write_picture
    from ggn.models import weights_folder

    require_folder(out_dir)
    limit = Limit(min_score, max_detections)
    chosen = chosen_device(device)
    source = find_images(
        images, images=images_dir, recursive=recursive, lines=sys.stdin, out=out_dir
    )
    refuse_format(file_format, source)
    with weights_folder(weights, "detector") as folder:
        detector = load_detector(folder, device=chosen)
        sha256 = read_json(folder / "card.json")["weights_sha256"]
    side = min(detector.params.max_size)
    tiles = tiling(tile, LARGE, side)
    drawn = top if pictures else 0
    settings = {"weights": sha256, **asdict(tiles), **asdict(limit), "top": drawn, "bits": bits}
    finder, names = (
        _Finder(detector, chosen, batch_size, tiles, limit, out_dir),
        source.picture_names(),
    )

    def find(images: Sequence[tuple[Photograph, Picture]], desk: Desk) -> list[Instances]:
        found = finder.find(images, desk)
        for (photo, _), (picture, _, shown) in zip(images, found, strict=True) if drawn else ():
            write_picture(out_dir / names[photo.image_id], overlay(picture, shown[:drawn]))
        return [instances for _, instances, _ in found]

    call = Call("predict", source, out_dir, settings, batch_size, bits)
    finish(call, find, "objects", file_format)


class _Finder:
    """Finds the objects of images, and draws them."""

    def __init__(
        self,
        detector: Detector,
        device: str,
        batch_size: int,
        tiles: Tiling,
        limit: Limit,
        out: Path,
    ) -> None:
        self._detector, self._batch_size = detector, batch_size
        self._tiling, self._limit, self._allocate = tiles, limit, on_disk(out)
        self._turns = Semaphore(2 if device.startswith("cuda") else 1024)

    def find(
        self, images: Sequence[tuple[Photograph, Picture]], desk: Desk
    ) -> list[tuple[Picture, Instances, Instances]]:
        """Return per image a picture, its instances, and these at the picture's size."""
        whole = [image for _, image in images if not self._tiling.applies(image)]
        found = iter(self._predict(whole) if whole else [])
        results = []
        for photo, image in images:
            if self._tiling.applies(image):
                results.append(self._in_tiles(image, photo, desk))
            else:
                instances = self._limit(next(found))
                results.append((image, instances, instances))
        return results

    def _in_tiles(
        self, image: Picture, photo: Photograph, desk: Desk
    ) -> tuple[Picture, Instances, Instances]:
        side, overlap = self._tiling.side, self._tiling.overlap
        levels = pyramid(image, side, self._allocate)
        cores = len(os.sched_getaffinity(0))
        count = count_tiles((image.shape[0], image.shape[1]), side, overlap)
        with (
            tile_progress(desk.bar, photo.path.name, count) as advance,
            tile_log(desk.of(photo), count) as log,
        ):
            found = find_in_tiles(
                levels,
                lambda tiles: log.find(self._predict, tiles, self._batch_size),
                side,
                overlap,
                together=4 * cores * self._batch_size,
                advance=advance,
            )
        limited = self._limit(found)
        level = picture_level(levels)
        return levels[level], limited, reduced(limited[:MOST_DRAWN], level)

    def _predict(self, images: Sequence[Picture]) -> list[Instances]:
        with self._turns:
            return self._detector.predict_batch(images)
