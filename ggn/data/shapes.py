"""The embedded dataset: synthetic images of shapes, some families of which count as unseen.

Seen and unseen families differ in outline and in texture, and no texture tells an object from the
background, which is painted with all of them. What every object has, and what a network can learn
from the seen ones, is an outline: the surface bends at the rim, towards or away from the light,
and casts a shadow on what lies behind.
"""

import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.ndimage import gaussian_filter, shift

from ggn.core.coco import write_json
from ggn.core.masks import areas, boxes_xywh, encode
from ggn.data.outlines import SEEN_OUTLINES, UNSEEN_OUTLINES, Loops
from ggn.data.textures import (
    SEEN_TEXTURES,
    UNSEEN_TEXTURES,
    Floats,
    add_lines,
    background,
    blend,
    pattern,
    two_colours,
)

ShapesPart = Literal["train", "val"]
SEEN_FAMILIES = tuple(SEEN_OUTLINES)
UNSEEN_FAMILIES = tuple(UNSEEN_OUTLINES)

_CATEGORY_IDS = MappingProxyType(
    {name: index for index, name in enumerate(SEEN_FAMILIES + UNSEEN_FAMILIES, start=1)}
)
_FIRST_IMAGE_ID: Mapping[ShapesPart, int] = MappingProxyType({"train": 1, "val": 1_000_001})
_SUPERSAMPLING = 4
_JPEG_QUALITY = 90  # like a photograph; a fifth of the size of a PNG, so git can hold the images
_SHADOW_REACH = 8  # pixels around an object that its shadow may darken
_ATTEMPTS_PER_OBJECT = 12


class ShapesParams(BaseModel):
    """How many synthetic images are drawn, how large and how full they are."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    train_images: int = Field(600, ge=1)
    """Number of training images."""
    val_images: int = Field(150, ge=1)
    """Number of validation images."""
    seed: int = Field(0, ge=0)
    """Seed of the whole dataset; an image depends only on the seed, its part and its index."""
    min_size: int = Field(96, ge=48)
    """Shortest side of an image in pixels; both sides vary independently."""
    max_size: int = Field(160, le=1024)
    """Longest side of an image in pixels."""
    min_objects: int = Field(3, ge=1)
    """Fewest objects to aim at in an image; a tiny image may not have room for them."""
    max_objects: int = Field(12, le=32)
    """Most objects in an image."""
    unseen_share: float = Field(0.7, ge=0, le=1)
    """Share of the objects that are of an unseen family. In open-world photographs, too, most
    objects are of categories that nobody annotated."""

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        for name in ("size", "objects"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"min_{name} must be <= max_{name}, got {low} > {high}")
        return self


class Scene(NamedTuple):
    """One drawn image and the visible part of each of its objects, nearest object first."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    families: list[str]
    """Family name of each of the N objects."""
    visible: NDArray[np.bool_]
    """(N, H, W); no pixel belongs to two objects."""


class _Object(NamedTuple):
    """An object placed in an image: its outline in pixels, and the window it touches."""

    family: str
    loops: Loops
    centre_yx: tuple[float, float]
    radius: float
    window: tuple[slice, slice]
    coverage: Floats  # share of each pixel of the window that lies within the outline


def make_shapes(params: ShapesParams, out_dir: Path) -> None:
    """Draw the dataset into `out_dir`, laid out as COCO is.

    Writes `train/*.jpg`, `val/*.jpg` and `annotations/instances_{train,val}.json`, in which every
    visible object of both groups is annotated; the supercategory says which group a family is of.
    Raises FileExistsError where one of the three folders exists: nothing is overwritten.
    """
    folders = (*get_args(ShapesPart), "annotations")
    for name in folders:
        if (out_dir / name).exists():
            raise FileExistsError(f"{out_dir / name} exists; shapes need an empty folder")
    unfinished = out_dir / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for part in get_args(ShapesPart):
            (unfinished / part).mkdir(parents=True)
            dataset = _draw_part(params, part, unfinished / part, pool)
            write_json(unfinished / "annotations" / f"instances_{part}.json", dataset)
    for name in folders:
        (unfinished / name).replace(out_dir / name)
    unfinished.rmdir()


def _draw_part(
    params: ShapesParams, part: ShapesPart, images_dir: Path, pool: ProcessPoolExecutor
) -> dict[str, Any]:
    """Write the images of one part and return its COCO dataset."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    indices = range(params.train_images if part == "train" else params.val_images)
    scenes = pool.map(partial(draw_scene, params, part), indices, chunksize=4)
    for index, scene in enumerate(scenes):
        image_id = _FIRST_IMAGE_ID[part] + index
        file_name = f"{image_id:07d}.jpg"
        Image.fromarray(scene.image).save(images_dir / file_name, quality=_JPEG_QUALITY)
        height, width = scene.image.shape[:2]
        images.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        annotations += _annotations(scene, image_id, first_id=len(annotations) + 1)
    categories = [
        {
            "id": category_id,
            "name": name,
            "supercategory": "seen" if name in SEEN_FAMILIES else "unseen",
        }
        for name, category_id in _CATEGORY_IDS.items()
    ]
    info = {"description": "GGN shapes", "params": params.model_dump()}
    return {"info": info, "images": images, "annotations": annotations, "categories": categories}


def _annotations(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """COCO annotation records of one scene."""
    masks = encode(scene.visible)
    return [
        {
            "id": first_id + index,
            "image_id": image_id,
            "category_id": _CATEGORY_IDS[family],
            "segmentation": mask,
            "area": float(area),
            "bbox": box.tolist(),
            "iscrowd": 0,
        }
        for index, (family, mask, area, box) in enumerate(
            zip(scene.families, masks, areas(masks), boxes_xywh(masks), strict=True)
        )
    ]


def draw_scene(params: ShapesParams, part: ShapesPart, index: int) -> Scene:
    """Draw image `index` of a part; it does not depend on how many images the part has."""
    rng = np.random.default_rng([params.seed, get_args(ShapesPart).index(part), index])
    height, width = rng.integers(params.min_size, params.max_size, size=2, endpoint=True).tolist()
    objects, visible = _place_objects(rng, params, (height, width))
    canvas = background(rng, (height, width))
    light_angle = rng.uniform(0, 2 * np.pi)
    for item in reversed(objects):
        _paint(rng, canvas, item, light_angle)
    add_lines(rng, canvas, int(rng.integers(0, 3)))  # in front: a thin line bounds no object
    canvas += rng.uniform(0.005, 0.02) * rng.standard_normal(canvas.shape, dtype=np.float32)
    image = np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    return Scene(image, [item.family for item in objects], visible)


def _place_objects(
    rng: np.random.Generator, params: ShapesParams, size_hw: tuple[int, int]
) -> tuple[list[_Object], NDArray[np.bool_]]:
    """Choose objects from the nearest to the farthest and mark what is visible of each.

    Each goes behind those before it; one of which too little would be visible is left out, so that
    no unannotated sliver of an object remains in the image.
    """
    wanted = int(rng.integers(params.min_objects, params.max_objects, endpoint=True))
    free = np.ones(size_hw, dtype=bool)
    objects: list[_Object] = []
    visible: list[NDArray[np.bool_]] = []
    for _ in range(wanted * _ATTEMPTS_PER_OBJECT):
        item = _random_object(rng, size_hw, objects, params.unseen_share)
        mask = np.zeros(size_hw, dtype=bool)
        mask[item.window] = (item.coverage >= 0.5) & free[item.window]
        if mask.sum() >= max(45, 0.4 * _area(item.loops)):
            objects.append(item)
            visible.append(mask)
            free &= ~mask
        if len(objects) == wanted:
            break
    return objects, np.array(visible, dtype=bool).reshape(-1, *size_hw)


def _random_object(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    others: list[_Object],
    unseen_share: float,
) -> _Object:
    """An object of a random family; every third one is put so that it touches another."""
    outlines = UNSEEN_OUTLINES if rng.random() < unseen_share else SEEN_OUTLINES
    family = list(outlines)[rng.integers(len(outlines))]
    radius = float(np.exp(rng.uniform(np.log(13), np.log(0.28 * min(size_hw)))))
    centre = rng.uniform(0.4 * radius, np.array(size_hw) - 0.4 * radius)
    if others and rng.random() < 0.35:
        neighbour = others[rng.integers(len(others))]
        angle = rng.uniform(0, 2 * np.pi)
        distance = rng.uniform(0.6, 1.0) * (radius + neighbour.radius)
        centre = neighbour.centre_yx + distance * np.array([np.sin(angle), np.cos(angle)])
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    loops = [radius * loop @ rotation + centre[::-1] for loop in outlines[family](rng)]
    low = np.floor(loops[0].min(axis=0)) - _SHADOW_REACH
    high = np.ceil(loops[0].max(axis=0)) + _SHADOW_REACH
    x, y = (
        slice(*np.clip((low[axis], high[axis]), 0, side).astype(int).tolist())
        for axis, side in enumerate(size_hw[::-1])
    )
    coverage = _coverage(loops, (y, x))
    return _Object(family, loops, (centre[0], centre[1]), radius, (y, x), coverage)


def _coverage(loops: Loops, window: tuple[slice, slice]) -> Floats:
    """Share of each pixel of the window inside the outline, by supersampling; float32 (h, w)."""
    height, width = (axis.stop - axis.start for axis in window)
    if height == 0 or width == 0:
        return np.zeros((height, width), dtype=np.float32)
    fine = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    pen = ImageDraw.Draw(fine)
    origin = (window[1].start, window[0].start)
    for index, loop in enumerate(loops):
        # a pixel of the canvas covers [i, i + 1), and ImageDraw's coordinates are pixel centres
        points = (loop - origin) * _SUPERSAMPLING - 0.5
        pen.polygon([tuple(point) for point in points.tolist()], fill=255 if index == 0 else 0)
    return np.asarray(fine.reduce(_SUPERSAMPLING), dtype=np.float32) / np.float32(255)


def _area(loops: Loops) -> float:
    """Area of an outline in square pixels, also where it leaves the image (shoelace formula)."""
    x_y = [(loop[:, 0], loop[:, 1]) for loop in loops]
    filled, *cut = (abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2 for x, y in x_y)
    return filled - sum(cut)


def _paint(rng: np.random.Generator, canvas: Floats, item: _Object, light_angle: float) -> None:
    """Paint an object and its shadow over `canvas` (H, W, 3), in place."""
    target = canvas[item.window]
    light = np.array([np.sin(light_angle), np.cos(light_angle)])
    shadow = gaussian_filter(shift(item.coverage, -2 * light, order=1, mode="nearest"), 2.0)
    target *= 1 - np.float32(rng.uniform(0.25, 0.5)) * shadow[..., None]

    y, x = np.mgrid[item.window].astype(np.float32)
    moved = (y - np.float32(item.centre_yx[0]), x - np.float32(item.centre_yx[1]))
    textures = SEEN_TEXTURES if item.family in SEEN_FAMILIES else UNSEEN_TEXTURES
    texture = textures[rng.integers(len(textures))]
    colour = blend(pattern(texture, rng, moved, item.radius), *two_colours(rng))

    height = gaussian_filter(item.coverage, 1.5)
    slope = np.gradient(height)
    facing = -(light[0] * slope[0] + light[1] * slope[1])
    colour += np.float32(rng.uniform(0.5, 1.1)) * facing[..., None].astype(np.float32)
    colour *= np.clip(0.45 + 0.6 * height, 0, 1)[..., None]
    target += item.coverage[..., None] * (colour - target)
