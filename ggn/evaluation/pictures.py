"""Pictures of masks: an image overlaid with instances, hierarchies, and galleries of them."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ggn.core.files import replaced
from ggn.core.instances import Instances
from ggn.core.masks import RLE

Picture = NDArray[np.uint8]

LEGEND = {
    "image": "Validation images. A mask has a colour of its column, and an outline. "
    "What looks dashed are small parts of a mask.",
    "ground truth": "ground truth: seen and unseen objects.",
    "affinity": "affinity: white is inside an object, black on its outline.",
    "pseudo-GT": "pseudo-GT: what the affinity gives on these validation images, "
    "without seen objects; not trained on.",
    "ggn": "baseline, ggn: the best detections, as many as there are objects.",
}
"""What each column of a gallery of `gallery_row` shows."""

_DPI = 80
_GALLERY_PIXELS = 2.2 * _DPI  # of a picture in a gallery
_LABEL_LENGTH = 30  # characters of a label beside a picture


def instance_colours(count: int) -> Picture:
    """Return `count` distinct colours, uint8 (count, 3) RGB: steps of the golden angle in hue."""
    hues = (np.arange(count) * 0.61803398875) % 1
    colours = [colorsys.hsv_to_rgb(hue, 0.75 + 0.25 * (i % 2), 1.0) for i, hue in enumerate(hues)]
    return (np.array(colours).reshape(count, 3) * 255).astype(np.uint8)


def overlay(image: Picture, instances: Instances, opacity: float = 0.55) -> Picture:
    """Tint each instance in its own colour and outline it; the best instance is on top.

    Args:
        image: uint8 (H, W, 3) RGB.
        instances: masks of the same size, best first.
        opacity: opacity of the tint, from 0 (invisible) to 1.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: image and masks differ in size.
    """
    if tuple(image.shape[:2]) != tuple(instances.image_size_hw):
        raise ValueError(
            f"image is {image.shape[:2]} but the instances are for {instances.image_size_hw}"
        )
    canvas = image.astype(np.float32)
    colours = instance_colours(len(instances))
    for index in reversed(range(len(instances))):  # one mask at a time: memory stays one image
        mask = instances[index : index + 1].bitmaps()[0].astype(bool)
        canvas[mask] += opacity * (colours[index] - canvas[mask])
        canvas[_outline(mask)] = colours[index]
    return canvas.round().astype(np.uint8)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels of a mask that touch one outside it, bool (H, W)."""
    inner = np.pad(mask, 1, constant_values=True)
    eroded = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~eroded


def affinity_picture(affinity: NDArray[np.float32]) -> Picture:
    """Return the map as grey levels, white = inside an object, uint8 (H, W, 3)."""
    grey = (np.clip(affinity, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def legend(unscored: bool) -> dict[str, str]:
    """Return `LEGEND`; if the images are `unscored`, it says that pseudo_gt.rank did not apply."""
    line = (
        f"{LEGEND['pseudo-GT'].removesuffix('.')}, and ranked as extracted: pseudo_gt.rank needs "
    )
    return LEGEND | ({"pseudo-GT": f"{line}scores of training images."} if unscored else {})


def images_to_show(dataset: Mapping[str, Any], unseen: Collection[int]) -> list[dict[str, Any]]:
    """Return the records of images with unseen objects; if there are none, with any; else all."""
    annotations = dataset["annotations"]
    with_unseen = {a["image_id"] for a in annotations if a["category_id"] in unseen}
    wanted = with_unseen or {a["image_id"] for a in annotations}
    return [image for image in dataset["images"] if not wanted or image["id"] in wanted]


def gallery_row(
    image: Picture,
    truth: Sequence[RLE],
    grouped: tuple[NDArray[np.float32], Instances] | None,
    found: Mapping[str, Instances],
) -> dict[str, Picture]:
    """Return one image's pictures by title: annotations, affinity, pseudo masks, detections.

    For each model, as many detections are drawn, best first, as there are objects. `grouped` is the
    affinity map and the pseudo masks chosen from it; None without an affinity network.
    """
    annotated = Instances(
        list(truth), np.ones(len(truth), np.float32), (image.shape[0], image.shape[1])
    )
    shown = {}
    if grouped is not None:
        affinity, pseudo = grouped
        shown = {"affinity": affinity_picture(affinity), "pseudo-GT": overlay(image, pseudo)}
    return {
        "image": image,
        "ground truth": overlay(image, annotated),
        **shown,
        **{model: overlay(image, best[: len(truth)]) for model, best in found.items()},
    }


def choice_row(image: Picture, annotated: Sequence[RLE], chosen: Instances) -> dict[str, Picture]:
    """Return a training image's pictures by title: its annotations, and its pseudo masks."""
    known = Instances(
        list(annotated), np.ones(len(annotated), np.float32), (image.shape[0], image.shape[1])
    )
    return {
        "image": image,
        "annotations": overlay(image, known),
        "pseudo-GT": overlay(image, chosen),
    }


def write_gallery(
    path: Path,
    rows: Sequence[Mapping[str, Picture]],
    row_names: Sequence[str],
    legend: Mapping[str, str] | None = None,
) -> None:
    """Write a grid of pictures, one row per image, the keys of the first row as column titles.

    Args:
        path: path of the PNG; written under a temporary name and renamed.
        rows: pictures by column title; all rows have the same keys. Without rows it is empty.
        row_names: one label per row, `shortened`.
        legend: lines below the pictures, by column title.
    """
    if not rows:
        save_figure(path, Figure(figsize=(2.2, 2.25), dpi=80))
        return
    titles = list(rows[0])
    figure = Figure(figsize=(2.2 * len(titles), 2.25 * len(rows)), layout="constrained", dpi=_DPI)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for row, name, places in zip(rows, row_names, axes, strict=True):
        for title, place in zip(titles, places, strict=True):
            # shrunk, the outline of a mask would be dashed if single pixels were left out
            enlarged = max(row[title].shape[:2]) <= _GALLERY_PIXELS
            place.imshow(row[title], interpolation="nearest" if enlarged else "auto")
            place.set(xticks=[], yticks=[])
        places[0].set_ylabel(shortened(name), fontsize=8)
    for title, place in zip(titles, axes[0], strict=True):
        place.set_title(title, fontsize=10)
    if legend:
        lines = "\n".join(line for title, line in legend.items() if title in titles)
        figure.supxlabel(lines, fontsize=8, x=0.02, ha="left")
    save_figure(path, figure)


def shortened(label: str) -> str:
    """Return the label, or its end where it is too long for the side of a picture."""
    return label if len(label) <= _LABEL_LENGTH else f"…{label[1 - _LABEL_LENGTH :]}"


def write_picture(path: Path, picture: Picture) -> None:
    """Write a PNG under a temporary name, then rename it; `picture` is uint8 (H, W, 3) RGB."""
    with replaced(path) as temporary:
        Image.fromarray(picture).save(temporary)


def save_figure(path: Path, figure: Figure) -> None:
    """Write a PNG under a temporary name, then rename it."""
    with replaced(path) as temporary:
        # without the software's version in the file, so the same picture has the same bytes
        figure.savefig(temporary, metadata={"Software": None})
