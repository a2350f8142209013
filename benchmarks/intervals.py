"""Time of the intervals of recall beside the evaluation itself, and beside the naive way.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/intervals.py

Random rectangles as objects and detections. The naive way would evaluate every resample anew: its
time is that of one evaluation, times the number of resamples. Prints seconds of processor time.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ggn.core.masks import encode
from ggn.evaluation.bootstrap import RESAMPLES, recall_intervals, recall_samples
from ggn.evaluation.evaluator import evaluate_inputs
from ggn.evaluation.inputs import read_inputs

SIDE = 100  # pixels of an image
OBJECTS = 7  # per image
PARTITIONS = {"unseen": ["unseen"], "seen": ["seen"], "all": None}


def scene(images: int, per_image: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return annotations, half of them unseen, and detections."""
    rng = np.random.default_rng(0)
    shapes = [_rectangle(rng) for _ in range(2000)]
    pick = lambda: shapes[rng.integers(len(shapes))]  # noqa: E731
    annotations = [
        {"id": i * OBJECTS + k + 1, "image_id": i, "category_id": 1 + k % 2, **pick()}
        for i in range(images)
        for k in range(OBJECTS)
    ]
    found = [
        {"image_id": i, "score": float(rng.random()), **pick()}
        for i in range(images)
        for _ in range(per_image)
    ]
    dataset = {
        "images": [{"id": i, "height": SIDE, "width": SIDE} for i in range(images)],
        "categories": [{"id": 1, "name": "unseen"}, {"id": 2, "name": "seen"}],
        "annotations": annotations,
    }
    return dataset, found


def _rectangle(rng: np.random.Generator) -> dict[str, Any]:
    x, y, width, height = rng.integers((0, 0, 8, 8), (60, 60, 40, 40)).tolist()
    bitmap = np.zeros((1, SIDE, SIDE), bool)
    bitmap[:, y : y + height, x : x + width] = True
    area = width * height
    return {"segmentation": encode(bitmap)[0], "bbox": [x, y, width, height], "area": area}


def seconds(task: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of a call, and its result."""
    started = time.process_time()
    result = task()
    return time.process_time() - started, result


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--per-image", type=int, default=40, help="Detections of an image.")
    arguments = parser.parse_args()
    annotations, found = scene(arguments.images, arguments.per_image)

    def evaluation(protocol: Any) -> Any:
        inputs = read_inputs(annotations, found, ["segm"])
        return evaluate_inputs(inputs, PARTITIONS, protocol=protocol, iou_type="segm")

    print(f"{len(found):,} detections, {arguments.images:,} images, {RESAMPLES:,} resamples\n")
    print("| protocol | evaluation | intervals | naive | times faster |\n|---|---:|---:|---:|---:|")
    for protocol in ("budget", "per_class"):
        once, results = seconds(lambda p=protocol: evaluation(p))  # type: ignore[misc]
        ours, _ = seconds(
            lambda r=results: [recall_intervals(recall_samples(x.sums)) for x in r.values()]  # type: ignore[misc]
        )
        naive = once * RESAMPLES
        print(f"| `{protocol}` | {once:.2f} | {ours:.2f} | {naive:,.0f} | {naive / ours:,.0f} |")


if __name__ == "__main__":
    main()
