"""Time and memory of evaluating many detections, from a store and from a COCO results file.

    python benchmarks/evaluation_scale.py FOLDER

Makes 5,000 images of 480 x 640 pixels with 1,500 detections each in FOLDER, unless they are there:
annotations.json, predictions.json (about 2 GB) and store/. Objects and detections are blobs of
COCO's sizes; some detections lie on objects, the others anywhere. Every image has one of 100
layouts, with scores of its own. Then masks and boxes are evaluated on seen, unseen and all objects,
on one core and on two, each in a process of its own; prints a Markdown table.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pycocotools import mask as coco_mask

from ggn.core.coco import write_json
from ggn.core.masks import RLE, areas, boxes_xyxy
from ggn.evaluation import evaluate_partitions

HEIGHT, WIDTH = 480, 640
LAYOUTS, OBJECTS = 100, 7
SIZES = ((0.41, 8, 32), (0.34, 32, 96), (0.25, 96, 300))
"""Share of objects, and the range of the square root of their area: COCO's."""
SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("counts", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
    ]
)
PARTITIONS = {"unseen": [2], "seen": [1], "all": None}


def blob(rng: np.random.Generator, x: float, y: float, side: float, aspect: float) -> RLE:
    """A mask round a centre: an ellipse with a wavy outline, one run or none in each column."""
    a, b = side * 0.56 * aspect, side * 0.56 / aspect
    first, last = max(int(x - a), 0), min(int(x + a) + 1, WIDTH)
    columns = np.arange(first, last) + 0.5
    half = b * np.sqrt(np.clip(1 - ((columns - x) / a) ** 2, 0, None))
    phase, waves = rng.uniform(0, 6.28, 2), rng.uniform(0.05, 0.3)
    low = y - half * (1 + 0.2 * np.sin(waves * columns + phase[0]))
    high = y + half * (1 + 0.2 * np.sin(waves * columns + phase[1]))
    low, high = np.clip(np.round([low, high]), 1, HEIGHT - 1).astype(int)  # no empty run
    low, high = np.minimum(low, high), np.maximum(low, high)
    there = high > low
    begins = ((np.arange(first, last) * HEIGHT) + low)[there]
    ends = ((np.arange(first, last) * HEIGHT) + high)[there]
    edges = np.stack([begins, ends], axis=1).ravel()
    runs = np.diff(edges, prepend=0, append=HEIGHT * WIDTH)
    rle = coco_mask.frPyObjects({"size": [HEIGHT, WIDTH], "counts": runs.tolist()}, HEIGHT, WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode("ascii")}


def shape(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Centre, side and aspect of a blob of COCO's sizes."""
    _, smallest, largest = SIZES[rng.choice(3, p=[share for share, _, _ in SIZES])]
    side = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
    return rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), side, np.exp(rng.normal(0, 0.3))


def layout(rng: np.random.Generator, detections: int) -> tuple[list[RLE], list[RLE]]:
    """Masks of the objects and of the detections of one image."""
    shapes = [shape(rng) for _ in range(OBJECTS)]
    found = []
    for index in range(detections):
        x, y, side, aspect = shapes[index % OBJECTS] if index % 3 == 0 else shape(rng)
        shift = rng.normal(0, 0.15 * side, 2)
        larger = np.exp(rng.normal(0, 0.15))
        found.append(blob(rng, x + shift[0], y + shift[1], side * larger, aspect))
    return [blob(rng, *one) for one in shapes], found


def make(folder: Path, images: int, detections: int) -> None:
    """Write annotations, results file and store."""
    rng = np.random.default_rng(0)
    layouts = [layout(rng, detections) for _ in range(min(LAYOUTS, images))]
    write_json(folder / "annotations.json", annotations(layouts, images))
    (folder / "store").mkdir(exist_ok=True)
    texts = [list(_texts(masks)) for _, masks in layouts]
    with (
        (folder / "predictions.part").open("w") as file,
        pq.ParquetWriter(
            folder / "store" / "shard-00000.parquet", SCHEMA, use_dictionary=False,
            compression="none", write_page_checksum=True,
        ) as shard,
    ):  # fmt: skip
        rows = []
        for image_id in range(images):
            masks = layouts[image_id % len(layouts)][1]
            scores = np.sort(rng.random(detections).astype(np.float32))[::-1]
            rows.append([image_id, HEIGHT, WIDTH, [m["counts"] for m in masks], scores])
            if len(rows) == 16 or image_id == images - 1:
                columns = dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True))
                shard.write_table(pa.table(columns, schema=SCHEMA))
                rows = []
            parts = zip(texts[image_id % len(layouts)], scores.tolist(), strict=True)
            file.write("[" if image_id == 0 else ", ")
            file.write(", ".join(f'{{"image_id": {image_id}, {t}"score": {s}}}' for t, s in parts))
        file.write("]\n")
    (folder / "predictions.part").replace(folder / "predictions.json")


def _texts(masks: list[RLE]) -> Iterator[str]:
    """All of a record but its image and its score, as JSON."""
    boxes = boxes_xyxy(masks)
    boxes[:, 2:] -= boxes[:, :2]
    for mask, box, area in zip(masks, boxes.tolist(), areas(masks).tolist(), strict=True):
        record = {"category_id": 1, "segmentation": mask, "bbox": box, "area": area}
        yield json.dumps(record)[1:-1] + ", "


def annotations(layouts: list[tuple[list[RLE], list[RLE]]], images: int) -> dict[str, Any]:
    """Every second object is unseen."""
    return {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(images)],
        "categories": [{"id": 1, "name": "seen"}, {"id": 2, "name": "unseen"}],
        "annotations": [
            {
                "id": OBJECTS * image_id + index,
                "image_id": image_id,
                "category_id": 1 + index % 2,
                "segmentation": mask,
                "iscrowd": 0,
            }
            for image_id in range(images)
            for index, mask in enumerate(layouts[image_id % len(layouts)][0])
        ],
    }


def measure(annotations: Path, predictions: Path, cores: int) -> None:
    """Print time, memory and two numbers as JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    started, cpu = time.monotonic(), time.process_time()
    metrics = evaluate_partitions(annotations, predictions, PARTITIONS)
    answer = {
        "wall": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "metrics": metrics,
    }
    print(json.dumps(answer))


def main() -> None:
    """Print a row for each source and number of cores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=1500, help="per image (1500)")
    parser.add_argument("--cores", type=int, help="measure only this, in this process")
    parser.add_argument("--source", choices=("store", "predictions.json"), default="store")
    given = parser.parse_args()
    folder: Path = given.folder
    if given.cores:
        measure(folder / "annotations.json", folder / given.source, given.cores)
        return
    if not (folder / "predictions.json").exists():
        make(folder, given.images, given.detections)
    count = given.images * given.detections
    print("| source | cores | wall s | CPU s | µs of wall per detection | peak MB |")
    print("|---|---:|---:|---:|---:|---:|")
    seen: set[str] = set()
    for source in ("store", "predictions.json"):
        for cores in (1, 2):
            command = [sys.executable, __file__, str(folder)]
            command += ["--source", source, "--cores", str(cores)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            run = json.loads(done.stdout)
            seen.add(json.dumps(run["metrics"]))
            times = f"{run['wall']:.1f} | {run['cpu']:.1f} | {run['wall'] / count * 1e6:.1f}"
            print(f"| {source} | {cores} | {times} | {run['peak']:.0f} |", flush=True)
    print(f"\n{count} detections; numbers of all runs equal to the last digit: {len(seen) == 1}")
    print({k: v for k, v in run["metrics"].items() if k.endswith("AR_100")})


if __name__ == "__main__":
    main()
