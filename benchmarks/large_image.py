r"""Time, memory and results of `ggn predict` or `ggn group` on one large image of known objects.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/large_image.py predict FOLDER --tile 512 \
        --weights releases/shapes/ggn

The image is a mosaic of scenes of `shapes`, each as large as a tile, and in its middle one scene
8 times as large. Scenes are not aligned with tiles, so seams cut through objects. Prints time,
memory, and the share of the objects that a detection shows (IoU 0.5): those that lie inside one
tile's own part, those that a seam cuts, and the large ones.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ggn.core.coco import read_json
from ggn.core.instances import Instances
from ggn.core.masks import sample
from ggn.core.windows import Window, window_of
from ggn.data.shapes import Scene, ShapesParams, draw_scene
from ggn.tiles import plan_tiles
from ggn.tiles.pieces import drawn, place_of
from ggn.tiles.plan import cores

SCENES = 200  # different ones; each is used many times
SCENE = 128  # pixels of a side, before it is enlarged
LARGER = 8  # times a tile: the scene in the middle
CHECKED = 3000  # objects that are compared with what was found


def mosaic(side: int, tile: int) -> tuple[NDArray[np.uint8], list[Window]]:
    """Return the image (side, side, 3) and the objects of it that are checked."""
    rng = np.random.default_rng(0)
    params = ShapesParams(min_size=SCENE, max_size=SCENE)
    scenes = [draw_scene(params, "val", index) for index in range(SCENES)]
    image, objects = np.empty((side, side, 3), np.uint8), list[Window]()
    pictures = [_enlarged(scene, tile) for scene in scenes]
    middle = side // 2 // tile * tile, LARGER * tile
    places = [(x, y) for y in range(0, side, tile) for x in range(0, side, tile)]
    share = CHECKED / (len(places) * np.mean([len(scene.visible) for scene in scenes]))
    for left, top in places:
        number = int(rng.integers(SCENES))
        part = image[top : top + tile, left : left + tile]
        part[:] = pictures[number][: part.shape[0], : part.shape[1]]
        under = all(middle[0] <= at < sum(middle) for at in (left, top))
        if part.shape[:2] == (tile, tile) and not under and rng.random() < share:
            objects += _objects(scenes[number], left, top, tile)
    part = image[middle[0] : sum(middle), middle[0] : sum(middle)]
    part[:] = _enlarged(scenes[0], middle[1])[: part.shape[0], : part.shape[1]]
    return image, objects + _objects(scenes[0], middle[0], middle[0], middle[1])


def _enlarged(scene: Scene, side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(scene.image).resize((side, side), Image.Resampling.BILINEAR))


def _objects(scene: Scene, left: int, top: int, side: int) -> list[Window]:
    found = []
    for visible in scene.visible:
        bitmap = sample(visible, (side, side))
        rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
        tight = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        found.append(Window(left + int(columns[0]), top + int(rows[0]), tight))
    return found


def measured(command: list[str]) -> str:
    """Run a command; return wall time, processor time and the most memory it had."""
    started = time.perf_counter()
    process = subprocess.Popen(command)
    most = {"RssAnon": 0, "RssFile": 0}
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for name in most:
            found = re.search(rf"{name}:\s+(\d+) kB", status)
            most[name] = max(most[name], int(found[1]) if found else 0)
        time.sleep(0.2)
    if process.wait():
        sys.exit(process.returncode)
    wall, times = time.perf_counter() - started, os.times()
    memory = ", ".join(f"{name} {kib / 2**20:.2f} GiB" for name, kib in most.items())
    return f"{wall:.0f} s, processor {times.children_user + times.children_system:.0f} s; {memory}"


def shares(objects: list[Window], results: list[dict[str, Any]], side: int, tile: int) -> str:
    """Return how many of the objects are shown by a detection."""
    found = Instances.from_coco_results(results, (side, side))
    boxes = found.boxes_xyxy
    window = lru_cache(64)(lambda index: window_of(found.masks[index]))
    own = cores(plan_tiles((side, side), tile, tile // 4))
    counts: dict[str, list[bool]] = {}
    for it in objects:
        box = place_of(it)
        shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
        both = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + box.area
        near = shared.clip(0).prod(axis=1) > both / 8  # boxes of masks that agree overlap more
        shown = any(_iou(it, window(index)) >= 0.5 for index in np.flatnonzero(near).tolist())
        inside = any(box.shared(core) == box for core in own)
        large = max(it.bitmap.shape) > tile
        kind = "larger than a tile" if large else "inside" if inside else "on a seam"
        counts.setdefault(kind, []).append(shown)
    return "; ".join(f"{kind} {np.mean(it):.3f} of {len(it)}" for kind, it in counts.items())


def _iou(one: Window, other: Window) -> float:
    shared = (drawn(other, place_of(one)) & one.bitmap).sum()
    return float(shared / (one.bitmap.sum() + other.bitmap.sum() - shared))


def main() -> None:
    """Draw the image, run the command, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["predict", "group"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20_000, help="of the image")
    parser.add_argument("--tile", type=int, default=512, help="as of the command")
    arguments, others = parser.parse_known_args()
    side, tile, folder = arguments.side, arguments.tile, arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    image, objects = mosaic(side, tile)
    Image.fromarray(image).save(folder / "image.jpg", quality=95)
    del image
    os.environ["GGN_MAX_PIXELS"] = str(side**2)
    command = [sys.executable, "-m", "ggn", arguments.command, str(folder / "image.jpg"), *others]
    print(measured([*command, "--tile", str(tile), "--out", str(folder / "out")]), flush=True)
    results = read_json(folder / "out" / "results.json")
    print(f"{len(results):,} masks; {shares(objects, results, side, tile)}")


if __name__ == "__main__":
    main()
