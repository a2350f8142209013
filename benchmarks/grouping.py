"""Time of `ggn.grouping.group` against scikit-image's watershed of the same affinity map.

    OMP_NUM_THREADS=1 python benchmarks/grouping.py PHOTOGRAPH...

Maps are made from the photographs at 480 x 640 and 1080 x 1920 pixels: 1 - the colour gradient in
Lab, summed over three scales, its 99th percentile as 1. One process, one thread; each time is the
median of interleaved runs, W that of `skimage.segmentation.watershed(1 - affinity,
connectivity=2)`. `Higra` is its `mean_pb_hierarchy` alone (`pip install higra`; left out where it
is missing); `tree` our hierarchy alone; `group` all of it, scores and masks included; `nodes` the
same without unions of nodes; `globalized` all of it with the spectral boundary.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.segmentation import watershed

from ggn.grouping import GroupingParams, build_hierarchy, group

try:
    import higra
except ImportError:
    higra = None

SIZES_HW = ((480, 640), (1080, 1920))
Map = NDArray[np.float32]


def affinity_of(photograph: Path, size_hw: tuple[int, int]) -> Map:
    """Return a map like a network's, (H, W) in [0, 1], from the gradients of a photograph."""
    image = Image.open(photograph).convert("RGB").resize(size_hw[::-1], Image.Resampling.BICUBIC)
    lab = rgb2lab(np.asarray(image))
    gradient = np.zeros(size_hw)
    for scale in (1, 2, 4):
        sigma = scale * size_hw[0] / 480
        squares = [ndimage.gaussian_gradient_magnitude(lab[..., c], sigma) ** 2 for c in range(3)]
        gradient += sigma * np.sqrt(sum(squares))
    return np.clip(1 - gradient / np.percentile(gradient, 99), 0, 1).astype(np.float32)


def median_times(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each call; the calls take turns, so that all share any noise."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def higra_hierarchy(affinity: Map) -> object:
    """Return Higra's hierarchy of the map."""
    graph = higra.get_4_adjacency_graph(affinity.shape)
    weights = higra.weight_graph(graph, 1 - affinity, higra.WeightFunction.max)
    return higra.mean_pb_hierarchy(graph, weights, affinity.shape)


CALLS: dict[str, Callable[[Map], object]] = {
    "W": lambda affinity: watershed(1 - affinity, connectivity=2),
    **({"Higra": higra_hierarchy} if higra else {}),
    "tree": build_hierarchy,
    "nodes": lambda affinity: group(affinity, GroupingParams(union_share=0.0)),
    "group": group,
    "globalized": lambda affinity: group(affinity, GroupingParams(globalization_weight=0.5)),
}


def main() -> None:
    """Print one line per photograph and size, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    peers = list(CALLS)[1:]
    print("| map | size | regions | W ms | " + " | ".join(f"{name} / W" for name in peers) + " |")
    print("|---" * (4 + len(peers)) + "|")
    for size_hw in SIZES_HW:
        size, ratios = f"{size_hw[0]} x {size_hw[1]}", []
        for photograph in arguments.photographs:
            affinity = affinity_of(photograph, size_hw)
            calls = {name: partial(call, affinity) for name, call in CALLS.items()}
            seconds = median_times(calls, arguments.repeats)
            ratios.append([seconds[name] / seconds["W"] for name in peers])
            regions = build_hierarchy(affinity).labels.max() + 1
            row = [photograph.stem, size, str(regions), f"{1e3 * seconds['W']:.0f}"]
            print("| " + " | ".join([*row, *(f"{r:.2f}" for r in ratios[-1])]) + " |", flush=True)
        medians = " | ".join(f"{ratio:.2f}" for ratio in np.median(ratios, axis=0))
        print(f"| median | {size} | | | {medians} |", flush=True)


if __name__ == "__main__":
    main()
