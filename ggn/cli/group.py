"""The command `ggn group`: affinity, hierarchy and candidate segments of any images."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from ggn.cli.app import Device, Out, app
from ggn.cli.imagewise import Call, Desk, Picture
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
from ggn.cli.row import RowGrouping, row_grouping
from ggn.cli.sources import Photograph, find_images
from ggn.cli.tile_log import KeptMap, tile_log
from ggn.cli.tiling import (
    AUTO,
    MEGAPIXEL,
    MOST_DRAWN,
    NO,
    Tiling,
    picture_level,
    tile_option,
    tile_progress,
    tiling,
)
from ggn.core.allocation import on_disk
from ggn.core.coco import read_json
from ggn.core.instances import Instances
from ggn.tiles import affinity_in_tiles, count_tiles, find_in_tiles, pyramid, reduced
from ggn.tiles.affinity import STRIDE

if TYPE_CHECKING:
    from ggn.affinity import AffinityPredictor


Map = NDArray[np.float32]
LARGEST_WHOLE: Final = 16 * MEGAPIXEL
"""The affinity of an image of up to so many pixels is predicted at once; memory grows with them."""
SIDE: Final = 1024
"""Side of the tiles of a larger image, in pixels."""
HALO: Final = 256
"""Pixels around a tile that the network also sees. Farther pixels matter only through pooling."""


@app.command()
def group(
    images: Images,
    affinity_weights: Annotated[
        str | None,
        typer.Option(
            help="Folder of an affinity network, or a row (SPLIT); by default "
            "models/SPLIT/affinity."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Group and rank with the settings of this split; by default the reference's."
        ),
    ] = None,
    images_dir: ImagesDir = None,
    recursive: Recursive = False,
    out_dir: Out = Path("groups"),
    device: Device = "auto",
    min_score: MinScore = None,
    max_detections: MaxDetections = None,
    tile: Annotated[str, tile_option(LARGEST_WHOLE)] = AUTO,
    bits: Bits = 16,
    file_format: Format = COCO,
    top: Top = 20,
    pictures: Pictures = True,
) -> None:
    """Find candidate segments: results.json (COCO results), and a picture of each image.

    The pictures show affinity, hierarchy and candidates. An interrupted command resumes when it is
    repeated. Images that can't be read are listed at the end; the others are done, and the exit
    status is 1.
    """
    from ggn.affinity import load_affinity
    from ggn.engine.devices import chosen_device
    from ggn.models import weights_folder

    require_folder(out_dir)
    limit = Limit(min_score, max_detections)
    chosen = chosen_device(device)
    row = row_grouping(split, chosen)
    address = _address(affinity_weights, split)
    source = find_images(
        images, images=images_dir, recursive=recursive, lines=sys.stdin, out=out_dir
    )
    refuse_format(file_format, source)
    with weights_folder(address, "affinity") as folder:
        network = load_affinity(folder, device=chosen)
        sha256 = read_json(folder / "card.json")["weights_sha256"]
    tiles = tiling(tile, LARGEST_WHOLE, SIDE)
    if row.oln is not None:  # it rates whole images
        if tile not in (AUTO, NO):
            raise ValueError(f"--tile {tile}: the ranking 'oln' of {split} can't rate tiles")
        tiles = tiling(NO, LARGEST_WHOLE, SIDE)
    drawn = top if pictures else 0
    settings = {
        "weights": sha256,
        **row.settings(),
        **asdict(tiles),
        **asdict(limit),
        "top": drawn,
        "bits": bits,
    }
    grouper, names = _Grouper(network, chosen, row, tiles, out_dir), source.picture_names()

    def find(images: Sequence[tuple[Photograph, Picture]], desk: Desk) -> list[Instances]:
        found = []
        for photo, image in images:
            seen, affinity, shown, segments = grouper.segments(image, photo, desk, limit)
            if drawn:
                path = out_dir / names[photo.image_id]
                grouper.draw(path, photo.path.name, seen, affinity, shown[:drawn])
            found.append(segments)
        return found

    finish(Call("group", source, out_dir, settings, 1, bits), find, "candidates", file_format)


def _address(given: str | None, split: str | None) -> str | Path:
    if given is not None:
        return given
    if split is None:
        raise ValueError(
            "group needs --affinity-weights FOLDER, or --split NAME for models/NAME/affinity"
        )
    return Path("models") / split / "affinity"


class _Grouper:
    """Groups images by a network's affinity, and draws the result."""

    def __init__(
        self,
        network: AffinityPredictor,
        device: str,
        row: RowGrouping,
        tiles: Tiling,
        out: Path,
    ) -> None:
        self._network, self._row, self._tiling = network, row, tiles
        self._allocate = on_disk(out)
        self._turns = Semaphore(2 if device.startswith("cuda") else 1024)
        self._drawing = Lock()  # matplotlib is not thread-safe

    def segments(
        self, image: Picture, photo: Photograph, desk: Desk, limit: Limit
    ) -> tuple[Picture, Map, Instances, Instances]:
        """Return a picture with its affinity and segments, and the segments at the image's size."""
        from ggn.data.images import shrink
        from ggn.grouping import candidates_of

        size_hw = (image.shape[0], image.shape[1])
        seen = shrink(image, self._row.params.longest_side)
        if self._tiling.applies(seen):
            picture, affinity, shown, found = self._in_tiles(seen, photo, desk, limit)
            return picture, affinity, shown, found.resized(size_hw)
        affinity, candidates = candidates_of(seen, self._predict, self._row.params)
        found = limit(self._row.ranked(candidates, image)).resized(size_hw)
        return image, affinity, found, found

    def _in_tiles(
        self, image: Picture, photo: Photograph, desk: Desk, limit: Limit
    ) -> tuple[Picture, Map, Instances, Instances]:
        side, overlap = self._tiling.side, self._tiling.overlap
        images, maps = pyramid(image, side, self._allocate), list[Map]()
        count = count_tiles((image.shape[0], image.shape[1]), side, overlap)
        name, folder = photo.path.name, desk.of(photo)
        network = self._predict, -(-side // STRIDE) * STRIDE, HALO
        with tile_progress(desk.bar, f"{name}: affinity", count) as advance:
            for number, level in enumerate(images):
                size_hw = (level.shape[0], level.shape[1])
                kept = KeptMap(folder / f"affinity-{number}", size_hw, advance)
                maps.append(kept.filled(partial(affinity_in_tiles, level, *network)))
        cores = len(os.sched_getaffinity(0))
        with (
            tile_progress(desk.bar, f"{name}: groups", count) as advance,
            tile_log(folder, count) as log,
        ):
            found = find_in_tiles(
                maps,
                lambda tiles: log.find(lambda maps: [*map(self._row.segments, maps)], tiles, 1),
                side,
                overlap,
                together=4 * cores,
                advance=advance,
            )
        found = limit(found)
        drawn = picture_level(images)
        return images[drawn], maps[drawn], reduced(found[:MOST_DRAWN], drawn), found

    def _predict(self, image: Picture) -> Map:
        with self._turns:
            return self._network.predict(image)

    def draw(
        self, path: Path, name: str, image: Picture, affinity: Map, segments: Instances
    ) -> None:
        """Write the image, its affinity and hierarchy, and some of its segments side by side."""
        from ggn.evaluation.pictures import affinity_picture, overlay, write_gallery
        from ggn.grouping import build_hierarchy
        from ggn.grouping.contours import contour_map

        contours: np.ndarray[Any, Any] = contour_map(build_hierarchy(affinity, self._row.params))
        row = {
            "image": image,
            "affinity": affinity_picture(affinity),
            "hierarchy": affinity_picture(1 - contours),
            f"best {len(segments)} candidates": overlay(image, segments),
        }
        with self._drawing:
            write_gallery(path, [row], [name])
