"""The command `ggn group`: affinity, hierarchy and candidate segments of any images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ggn.cli.app import Device, Out, app, chosen_device
from ggn.cli.imagewise import Call, Picture
from ggn.cli.predict import (
    COCO,
    Format,
    Images,
    ImagesDir,
    MaxDetections,
    MinScore,
    Pictures,
    Recursive,
    Top,
    finish,
    limited,
    refuse_format,
)
from ggn.cli.sources import Photograph, find_images
from ggn.core.coco import read_json
from ggn.core.instances import Instances

if TYPE_CHECKING:
    from ggn.affinity import AffinityPredictor
    from ggn.grouping import GroupingParams
    from ggn.pseudo_gt.params import RankName


@app.command()
def group(
    images: Images,
    affinity_weights: Annotated[
        Path | None,
        typer.Option(help="Folder of an affinity network; by default models/SPLIT/affinity."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Group and rank as this split of params.yaml; by default as the reference."
        ),
    ] = None,
    images_dir: ImagesDir = None,
    recursive: Recursive = False,
    out_dir: Out = Path("groups"),
    device: Device = "auto",
    min_score: MinScore = None,
    max_detections: MaxDetections = None,
    file_format: Format = COCO,
    top: Top = 20,
    pictures: Pictures = True,
) -> None:
    """Show what the affinity groups: results.json (COCO results) and a picture of each image.

    The pictures show affinity, hierarchy and candidates. A call that was interrupted goes on where
    it stopped. Images that can't be read are named at the end, all others are done, and the exit
    status is 1.
    """
    from ggn.affinity import load_affinity

    chosen = chosen_device(device)
    params, rank = _of_split(split)
    folder = _weights(affinity_weights, split)
    source = find_images(
        images, images=images_dir, recursive=recursive, lines=sys.stdin, out=out_dir
    )
    refuse_format(file_format, source)
    network = load_affinity(folder, device=chosen)
    drawn = top if pictures else 0
    settings = {
        "weights": read_json(folder / "card.json")["weights_sha256"],
        "grouping": params.model_dump(),
        "rank": rank,
        "min_score": min_score,
        "max_detections": max_detections,
        "top": drawn,
    }
    grouper = _Grouper(network, chosen, params, rank)
    names = source.picture_names()

    def find(images: Sequence[tuple[Photograph, Picture]]) -> list[Instances]:
        found = []
        for photo, image in images:
            affinity, segments = grouper.segments(image)
            segments = limited(segments, min_score, max_detections)
            if drawn:
                path = out_dir / names[photo.image_id]
                grouper.draw(path, photo.path.name, image, affinity, segments[:drawn])
            found.append(segments)
        return found

    finish(Call("group", source, out_dir, settings, 1), find, "candidates", file_format)


def _weights(given: Path | None, split: str | None) -> Path:
    if given is not None:
        return given
    if split is None:
        raise ValueError(
            "group needs --affinity-weights FOLDER, or --split NAME for models/NAME/affinity"
        )
    return Path("models") / split / "affinity"


def _of_split(split: str | None) -> tuple[GroupingParams, RankName]:
    """Return the grouping and the ranking of a row of params.yaml, or the reference's.

    Raises:
        ValueError: there is no such row, or its ranking is learned from all images of its data.
    """
    from ggn.grouping import GroupingParams

    if split is None:
        return GroupingParams(), "extracted"
    from pipelines.stage import load_params

    sections: dict[str, Any] = load_params(split)
    rank: RankName = sections["pseudo_gt"].rank
    if rank in ("learned", "oln"):
        raise ValueError(
            f"splits.{split}.pseudo_gt.rank is {rank!r}, which only the stages of the split can; "
            "without --split the candidates are grouped and ranked as in the reference"
        )
    return sections["grouping"], rank


class _Grouper:
    """Groups images by a network's affinity, and draws what came of it."""

    def __init__(
        self, network: AffinityPredictor, device: str, params: GroupingParams, rank: RankName
    ) -> None:
        self._network, self._params, self._rank = network, params, rank
        self._turns = Semaphore(2 if device.startswith("cuda") else 1024)
        self._drawing = Lock()  # matplotlib does not say that its figures may be drawn together

    def segments(self, image: Picture) -> tuple[Any, Instances]:
        """Return the affinity (H', W') and the segments of an image, at its size, best first."""
        from ggn.data.images import shrink
        from ggn.grouping import FEATURE_NAMES, candidates
        from ggn.pseudo_gt.rank import rank_candidates
        from ggn.pseudo_gt.select import resized
        from ggn.store.rows import ImageInstances

        with self._turns:
            affinity = self._network.predict(shrink(image, self._params.longest_side))
        found = candidates(affinity, self._params)
        item = ImageInstances(0, found.instances, found.features)
        ranked = rank_candidates(item, FEATURE_NAMES, self._rank)
        return affinity, resized(ranked, (image.shape[0], image.shape[1]))

    def draw(
        self, path: Path, name: str, image: Picture, affinity: Any, segments: Instances
    ) -> None:
        """Write the image, its affinity and hierarchy, and some of its segments side by side."""
        from ggn.evaluation.pictures import affinity_picture, overlay, write_gallery
        from ggn.grouping import build_hierarchy
        from ggn.grouping.contours import contour_map

        contours: np.ndarray[Any, Any] = contour_map(build_hierarchy(affinity, self._params))
        row = {
            "image": image,
            "affinity": affinity_picture(affinity),
            "hierarchy": affinity_picture(1 - contours),
            f"best {len(segments)} candidates": overlay(image, segments),
        }
        with self._drawing:
            write_gallery(path, [row], [name])
