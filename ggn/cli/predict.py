"""The command `ggn predict`: a detector on any images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Annotated

import typer

from ggn.cli.app import Device, Out, app, chosen_device, err
from ggn.cli.imagewise import Call, Find, Picture, finished_images
from ggn.cli.results import report_failures, write_for_tool, write_results
from ggn.cli.sources import Photograph, Source, find_images
from ggn.core.coco import read_json
from ggn.core.instances import Instances

if TYPE_CHECKING:
    from ggn.detector import Detector

COCO = "coco"
Images = Annotated[
    list[str],
    typer.Argument(
        help="Image files, folders, globs in quotes, one COCO file, or - for a list of files on "
        "standard input.",
        show_default=False,
    ),
]
ImagesDir = Annotated[
    Path | None, typer.Option("--images", help="Folder of the COCO file's images.")
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Also look into the folders of folders.")
]
MinScore = Annotated[float | None, typer.Option(help="Leave out what is scored less.")]
MaxDetections = Annotated[int | None, typer.Option(min=1, help="Keep the best N of each image.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="coco (results.json alone), or also files of yolo, labelme, cvat or label-studio.",
    ),
]
Top = Annotated[int, typer.Option(min=1, help="How many instances a picture shows.")]
Pictures = Annotated[bool, typer.Option(help="Whether a picture is written of each image.")]


@app.command()
def predict(
    images: Images,
    weights: Annotated[
        str, typer.Option(help="Folder, registry address (models:/SPLIT@RECIPE) or row (SPLIT).")
    ],
    images_dir: ImagesDir = None,
    recursive: Recursive = False,
    out_dir: Out = Path("predictions"),
    device: Device = "auto",
    min_score: MinScore = None,
    max_detections: MaxDetections = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images of one size that a GPU looks at together.")
    ] = 1,
    file_format: Format = COCO,
    top: Top = 20,
    pictures: Pictures = True,
) -> None:
    """Find the objects of images: results.json (COCO results), and a picture of each image.

    A call that was interrupted goes on where it stopped. Images that can't be read are named at the
    end, all others are done, and the exit status is 1.
    """
    from ggn.detector import load_detector
    from ggn.models import weights_folder

    chosen = chosen_device(device)
    source = find_images(
        images, images=images_dir, recursive=recursive, lines=sys.stdin, out=out_dir
    )
    refuse_format(file_format, source)
    with weights_folder(weights, "detector") as folder:
        detector = load_detector(folder, device=chosen)
        sha256 = read_json(folder / "card.json")["weights_sha256"]
    drawn = top if pictures else 0
    settings = {
        "weights": sha256,
        "min_score": min_score,
        "max_detections": max_detections,
        "top": drawn,
    }
    finder = _Finder(detector, chosen, min_score, max_detections, drawn, out_dir, source)
    finish(Call("predict", source, out_dir, settings, batch_size), finder, "objects", file_format)


class _Finder:
    """Finds the objects of images, and draws them."""

    def __init__(
        self,
        detector: Detector,
        device: str,
        min_score: float | None,
        max_detections: int | None,
        top: int,
        out: Path,
        source: Source,
    ) -> None:
        self._detector, self._top, self._out = detector, top, out
        self._limits = (min_score, max_detections)
        self._names = source.picture_names()
        self._turns = Semaphore(2 if device.startswith("cuda") else 1024)

    def __call__(self, images: Sequence[tuple[Photograph, Picture]]) -> list[Instances]:
        from ggn.evaluation.pictures import overlay, write_picture

        with self._turns:
            found = self._detector.predict_batch([image for _, image in images])
        found = [limited(instances, *self._limits) for instances in found]
        for (photo, image), instances in zip(images, found, strict=True) if self._top else ():
            picture = overlay(image, instances[: self._top])
            write_picture(self._out / self._names[photo.image_id], picture)
        return found


def limited(instances: Instances, min_score: float | None, max_detections: int | None) -> Instances:
    """Return the best instances, best first being how they come."""
    kept = instances if min_score is None else instances[instances.scores >= min_score]
    return kept[:max_detections]


def refuse_format(name: str, source: Source) -> None:
    """Raise ValueError unless the images can be written in a format."""
    from ggn.formats import refuse_shared_files

    if name != COCO:
        refuse_shared_files(name, [photo.file_name for photo in source.photographs])


def finish(call: Call, find: Find, noun: str, file_format: str) -> None:
    """Do a call's work, write its results, name what could not be read."""
    if call.source.others:
        err.print(
            f"{call.source.others} other files in the folders are not images by their names",
            highlight=False,
        )
    with finished_images(call, find) as (store, failures):
        if store is not None:
            write_results(call.out, call.source, store, noun)
            if file_format != COCO:
                write_for_tool(call.out, call.source, store, file_format)
    if failures:
        report_failures(failures, len(call.source.photographs))
        raise typer.Exit(1)
