"""Time and memory of the evaluation beside pycocotools and others, masks, all k, on one core.

    RAYON_NUM_THREADS=1 taskset -c 0 python benchmarks/evaluation.py ANNOTATIONS PREDICTIONS

PREDICTIONS is a COCO results file (.json or .json.gz); the detections of each image are repeated,
with falling scores, until there are --detections. Every tool runs in a process of its own, in
turns; what is timed begins with the parsed files and ends with the numbers, which are compared with
those of pycocotools. Prints a Markdown table, with a row for each peer that is installed (`pip
install faster-coco-eval hotcoco ultrafast-pycocotools`).
"""

import argparse
import contextlib
import copy
import gzip
import importlib.util
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ggn.evaluation import evaluate
from ggn.evaluation.budget import BUDGETS

Results = list[dict[str, Any]]
Metrics = dict[str, float]


def ggn(annotations: dict[str, Any], predictions: Results) -> Metrics:
    """Ours."""
    return evaluate(annotations, predictions, protocol="plain")


def pycocotools(annotations: dict[str, Any], predictions: Results) -> Metrics:
    """COCOeval, class-agnostic."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _like_pycocotools(COCO, COCOeval, annotations, predictions)


def ultrafast_pycocotools(annotations: dict[str, Any], predictions: Results) -> Metrics:
    """Its drop-in COCOeval."""
    from ultrafast_pycocotools.coco import COCO
    from ultrafast_pycocotools.cocoeval import COCOeval

    return _like_pycocotools(COCO, COCOeval, annotations, predictions)


def _like_pycocotools(coco: Any, evaluator: Any, annotations: Any, predictions: Results) -> Metrics:
    truth = coco()
    truth.dataset = annotations
    truth.createIndex()
    return _run(evaluator(truth, truth.loadRes(predictions), "segm"))


def faster_coco_eval(annotations: dict[str, Any], predictions: Results) -> Metrics:
    """Its drop-in COCOeval."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(annotations)
    return _run(COCOeval_faster(truth, truth.loadRes(predictions), "segm"))


def hotcoco(annotations: dict[str, Any], predictions: Results) -> Metrics:
    """Its drop-in COCOeval."""
    from hotcoco import COCO, COCOeval

    truth = COCO(annotations)
    return _run(COCOeval(truth, truth.loadRes(predictions), "segm"))


def _run(evaluator: Any) -> Metrics:
    evaluator.params.useCats = 0
    evaluator.params.maxDets = list(BUDGETS)
    evaluator.evaluate()
    evaluator.accumulate()
    recall = np.asarray(evaluator.eval["recall"])[:, 0]  # T, A, K
    precision = np.asarray(evaluator.eval["precision"])[:, :, 0, :, BUDGETS.index(100)]  # T, R, A
    metrics = {f"AR_{k}": float(recall[:, 0, i].mean()) for i, k in enumerate(BUDGETS)}
    for area, size in enumerate(("s", "m", "l"), start=1):
        metrics[f"AR_{size}_100"] = float(recall[:, area, BUDGETS.index(100)].mean())
        metrics[f"AP_{size}"] = float(precision[..., area].mean())
    whole = precision[..., 0]
    averages = {"AP": whole.mean(), "AP_50": whole[0].mean(), "AP_75": whole[5].mean()}
    return metrics | {name: float(value) for name, value in averages.items()}


TOOLS = {
    "ggn": ggn,
    "hotcoco": hotcoco,
    "ultrafast-pycocotools": ultrafast_pycocotools,
    "faster-coco-eval": faster_coco_eval,
    "pycocotools": pycocotools,
}


def repeated(predictions: Results, count: int) -> Results:
    """Of each image `count` detections, the repeated ones after all others."""
    by_image: dict[int, Results] = defaultdict(list)
    for record in predictions:
        by_image[record["image_id"]].append(record)
    return [
        records[place % len(records)]
        | {"score": records[place % len(records)]["score"] - 1e-3 * (place // len(records))}
        for records in by_image.values()
        for place in range(count)
    ]


def measure(tool: str, annotations: Path, predictions: Path, detections: int) -> None:
    """Print time, memory and number of one tool as JSON."""
    opened = gzip.open if predictions.suffix == ".gz" else open
    with opened(predictions, "rb") as file:
        records = repeated(json.load(file), detections)
    truth = copy.deepcopy(json.loads(annotations.read_text("utf-8")))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        value = TOOLS[tool](truth, records)
    seconds = time.process_time() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "metrics": value, "count": len(records)}))


def main() -> None:
    """Print one row per tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--detections", type=int, default=1000, help="per image (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tool (3)")
    parser.add_argument("--tool", choices=TOOLS, help="measure only this one, in this process")
    given = parser.parse_args()
    if given.tool:
        measure(given.tool, given.annotations, given.predictions, given.detections)
        return
    tools = [t for t in TOOLS if t == "ggn" or importlib.util.find_spec(t.replace("-", "_"))]
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(given.rounds):
        for tool in tools:
            command = [sys.executable, __file__, *sys.argv[1:], "--tool", tool]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs[tool].append(json.loads(done.stdout))
    seconds = {t: statistics.median(run["seconds"] for run in r) for t, r in runs.items()}
    print(f"{runs['ggn'][0]['count']:.0f} detections, {given.rounds} rounds\n")
    print("| tool | CPU s | of ours | peak MB over the parsed files | AR_100 | furthest off |")
    print("|---|---:|---:|---:|---|---:|")
    expected = runs["pycocotools"][0]["metrics"]
    for tool in tools:
        peak = max(run["peak"] for run in runs[tool])
        metrics = runs[tool][0]["metrics"]
        off = max(abs(metrics[name] - value) for name, value in expected.items())
        times = f"{seconds[tool]:.2f} | {seconds[tool] / seconds['ggn']:.1f}"
        print(f"| {tool} | {times} | {peak:.0f} | {metrics['AR_100']:.12f} | {off:.1e} |")


if __name__ == "__main__":
    main()
