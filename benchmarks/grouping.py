"""Time of `ggn.grouping.group` against scikit-image's watershed of the same affinity map.

    OMP_NUM_THREADS=1 python benchmarks/grouping.py PHOTOGRAPH...

Maps are made from the photographs at 480 x 640 and 1080 x 1920 pixels: 1 - the colour gradient in
Lab, summed over three scales, its 99th percentile as 1. One process; each time is the median of
interleaved runs, W that of `skimage.segmentation.watershed(1 - affinity, connectivity=2)`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.segmentation import watershed

from ggn.grouping import GroupingParams, build_hierarchy, group

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


def main() -> None:
    """Print one line per photograph and size, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    globalized = GroupingParams(globalization_weight=0.5)
    print(
        "| map | size | regions | candidates | W ms | hierarchy / W | group / W | globalized / W |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for size_hw in SIZES_HW:
        ratios = []
        for photograph in arguments.photographs:
            affinity = affinity_of(photograph, size_hw)
            calls: dict[str, Callable[[], object]] = {
                "W": lambda a=affinity: watershed(1 - a, connectivity=2),
                "hierarchy": lambda a=affinity: build_hierarchy(a),
                "group": lambda a=affinity: group(a),
                "globalized": lambda a=affinity: group(a, globalized),
            }
            seconds = median_times(calls, arguments.repeats)
            ratios.append([seconds[name] / seconds["W"] for name in list(calls)[1:]])
            counts = build_hierarchy(affinity).labels.max() + 1, len(group(affinity))
            row = [photograph.stem, f"{size_hw[0]} x {size_hw[1]}", *map(str, counts)]
            row += [f"{1e3 * seconds['W']:.0f}", *(f"{ratio:.2f}" for ratio in ratios[-1])]
            print("| " + " | ".join(row) + " |", flush=True)
        medians = [f"{ratio:.2f}" for ratio in np.median(ratios, axis=0)]
        print(f"| median | {size_hw[0]} x {size_hw[1]} | | | | " + " | ".join(medians) + " |")


if __name__ == "__main__":
    main()
