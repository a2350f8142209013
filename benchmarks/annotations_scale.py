"""Time and memory of reading annotations: `check`, `prepare`, `evaluate` on a file of any size.

    python benchmarks/annotations_scale.py FOLDER  # makes a file of COCO's size, measures all
    python benchmarks/annotations_scale.py FOLDER --annotations 90000

The annotations are polygons of 8 to 50 vertices on COCO-sized images, one in a hundred a crowd as
run lengths. There are no image files: the JSON alone is read, so that `check` runs without
`--images`, and `prepare` is the reading, splitting and writing of its annotations. `evaluate` reads
the annotations for masks. Each runs in a process of its own, on one thread.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

WIDTH, HEIGHT, PER_IMAGE = 640, 480, 8
TASKS = ("check", "prepare", "evaluate")


def polygon(random: Random) -> dict[str, Any]:
    """A star-shaped object inside the image, with COCO's keys and two decimals."""
    radius = 4 + random.random() ** 3 * 180
    x, y = random.uniform(radius, WIDTH - radius), random.uniform(radius, HEIGHT - radius)
    count = random.randint(8, 50)
    points = [
        (
            round(x + radius * random.uniform(0.5, 1) * math.cos(2 * math.pi * i / count), 2),
            round(y + radius * random.uniform(0.5, 1) * math.sin(2 * math.pi * i / count), 2),
        )
        for i in range(count)
    ]
    xs, ys = zip(*points, strict=True)
    shoelace = sum(
        x0 * y1 - x1 * y0
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True)
    )
    return {
        "segmentation": [[number for point in points for number in point]],
        "area": round(abs(shoelace) / 2, 4),
        "bbox": [
            min(xs),
            min(ys),
            round(max(xs) - min(xs), 2),
            round(max(ys) - min(ys), 2),
        ],
        "iscrowd": 0,
    }


def crowd(random: Random) -> dict[str, Any]:
    """A rectangle as uncompressed run lengths."""
    x, y = random.randrange(WIDTH - 80), random.randrange(HEIGHT - 80)
    width, height = random.randint(20, 80), random.randint(20, 80)
    counts = [x * HEIGHT + y]
    counts += [height, HEIGHT - height] * (width - 1) + [height]
    counts.append(WIDTH * HEIGHT - sum(counts))
    return {
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts},
        "area": width * height,
        "bbox": [x, y, width, height],
        "iscrowd": 1,
    }


def make(path: Path, count: int) -> None:
    """Write a COCO-style file of `count` annotations."""
    random = Random(0)  # noqa: S311  (no secret)
    categories = [{"id": i, "name": f"category {i}"} for i in range(1, 81)]
    images = [
        {"id": i, "file_name": f"{i:012}.jpg", "width": WIDTH, "height": HEIGHT}
        for i in range(1, count // PER_IMAGE + 1)
    ]
    with path.with_suffix(".part").open("w", encoding="utf-8") as file:
        file.write(f'{{"categories": {json.dumps(categories)}, "images": {json.dumps(images)}, ')
        file.write('"annotations": [')
        for index in range(count):
            shape = crowd(random) if index % 100 == 99 else polygon(random)
            ids = {
                "id": index + 1,
                "image_id": 1 + index // PER_IMAGE,
                "category_id": 1 + index % 80,
            }
            file.write((", " if index else "") + json.dumps({**ids, **shape}))
        file.write("]}\n")
    path.with_suffix(".part").replace(path)


def run(task: str, path: Path) -> None:
    """Do one task on the file."""
    if task == "check":
        from ggn.data.check import check_dataset

        print(check_dataset(path).faults, file=sys.stderr)
    elif task == "prepare":
        import ggn.data.prepare as stage
        from ggn.data.check import ImageReport
        from ggn.data.params import DataParams

        (path.parent / "images").mkdir(exist_ok=True)
        nothing = ImageReport([], {}, [])
        stage.inspect_images = lambda *_args, **_kwargs: nothing  # there are no image files
        stage.shared_images = lambda *_args, **_kwargs: []
        small = path.parent / "val.json"
        if not small.exists():
            make(small, PER_IMAGE)
        params = DataParams(
            root=str(path.parent),
            train_annotations=path.name,
            val_annotations="val.json",
            train_images="images",
            val_images="images",
            seen=["category 1"],
            unseen="others",
        )
        stage.prepare(params, path.parent / "prepared", path.parent / "prepared" / "seen.json")
    else:
        from ggn.evaluation.records import read_annotations

        read_annotations(path, ["segm"])


def main() -> None:
    """Print a row for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--annotations", type=int, default=900_000)
    parser.add_argument("--task", choices=TASKS, help="measure only this, in this process")
    given = parser.parse_args()
    path: Path = given.folder / f"annotations_{given.annotations}.json"
    if given.task:
        started, cpu = time.monotonic(), time.process_time()
        run(given.task, path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        spent = time.process_time() - cpu, time.monotonic() - started
        print(json.dumps([*spent, peak]))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        make(path, given.annotations)
    print(f"{given.annotations} annotations, {path.stat().st_size / 1e6:.0f} MB\n")
    print("| task | CPU s | wall s | peak MB |")
    print("|---|---:|---:|---:|")
    for task in TASKS:
        command = [sys.executable, __file__, str(given.folder), "--task", task]
        command += ["--annotations", str(given.annotations)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=environment
        )
        cpu, wall, peak = json.loads(done.stdout)
        print(f"| {task} | {cpu:.1f} | {wall:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
