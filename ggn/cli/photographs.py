"""Commands on photographs: predict, group."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ggn.cli.app import Device, Out, app, err, out
from ggn.core.coco import write_json
from ggn.core.instances import Instances
from ggn.data.images import read_photograph

Images = Annotated[list[Path], typer.Argument(help="Photographs, PNG or JPEG.")]
Top = Annotated[int, typer.Option(min=1, help="How many instances the picture shows.")]


@app.command()
def predict(
    images: Images,
    weights: Annotated[
        str, typer.Option(help="Folder (models/SPLIT/RECIPE) or registry (models:/SPLIT@RECIPE).")
    ],
    out_dir: Out = Path("predictions"),
    device: Device = "cpu",
    top: Top = 20,
) -> None:
    """Find the objects of photographs: masks as NAME.json, an overlay as NAME.png."""
    from ggn.detector import load_detector
    from ggn.evaluation.pictures import overlay, write_picture
    from ggn.tracking.registry import fetched_weights, is_registered

    _refuse_same_names(images)
    with fetched_weights(weights) if is_registered(weights) else nullcontext(weights) as folder:
        detector = load_detector(folder, device=device)
    for path in track(images, "predict", console=err):
        image = read_photograph(path)
        instances = detector.predict(image)
        _write_masks(out_dir / f"{path.stem}.json", path, instances)
        write_picture(out_dir / f"{path.stem}.png", overlay(image, instances[:top]))
        out.print(
            f"{out_dir / path.stem}.json: {len(instances)} objects; {out_dir / path.stem}.png",
            markup=False,
        )


@app.command()
def group(
    images: Images,
    affinity_weights: Annotated[
        Path, typer.Option(help="Folder of an affinity network: models/SPLIT/affinity.")
    ],
    out_dir: Out = Path("groups"),
    device: Device = "cpu",
    top: Top = 20,
) -> None:
    """Show what the affinity groups: NAME.png (affinity, hierarchy, candidates) and NAME.json."""
    from ggn.affinity import load_affinity
    from ggn.evaluation.pictures import affinity_picture, overlay, write_gallery
    from ggn.grouping import GroupingParams, build_hierarchy
    from ggn.grouping import group as group_pixels
    from ggn.grouping.contours import contour_map

    _refuse_same_names(images)
    params = GroupingParams()
    network = load_affinity(affinity_weights, device=device)
    for path in track(images, "group", console=err):
        image = read_photograph(path)
        affinity = network.predict(image)
        segments = group_pixels(affinity, params)
        pictures = {
            "image": image,
            "affinity": affinity_picture(affinity),
            "hierarchy": affinity_picture(1 - contour_map(build_hierarchy(affinity, params))),
            f"best {min(top, len(segments))} candidates": overlay(image, segments[:top]),
        }
        write_gallery(out_dir / f"{path.stem}.png", [pictures], [path.name])
        _write_masks(out_dir / f"{path.stem}.json", path, segments)
        out.print(
            f"{out_dir / path.stem}.json: {len(segments)} candidates; {out_dir / path.stem}.png",
            markup=False,
        )


def _refuse_same_names(images: list[Path]) -> None:
    """Two photographs of one name would overwrite each other's results."""
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ValueError(f"photographs of the same name in one call: {', '.join(twice)}")


def _write_masks(path: Path, image: Path, instances: Instances) -> None:
    """Write one image's instances, best first, as COCO results with image_id 0."""
    height, width = instances.image_size_hw
    write_json(
        path,
        {
            "image": {"id": 0, "file_name": image.name, "height": height, "width": width},
            "instances": instances.to_coco_results(image_id=0),
        },
    )
