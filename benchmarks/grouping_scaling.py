"""Time and memory of `ggn.grouping.group` against the number of pixels, on smooth random maps.

    OMP_NUM_THREADS=1 python benchmarks/grouping_scaling.py

Every line is one call in a process of its own. The bytes per pixel are what the call adds to the
most memory that the process ever held (getrusage, Linux): the map's own 4 bytes per pixel, read
before, do not count. Needs about 3 GB of memory and 1 GB of disk.
"""

import argparse
import math
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ggn.grouping import GroupingParams, build_hierarchy, group

SIZES_HW = ((480, 640), (1080, 1920), (3000, 4000), (6124, 8192))


def smooth_map(size_hw: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Return a map (H, W) in [0, 1]: 1 - the gradient of blurred noise, as blurred at any size."""
    blur = max(3, round(0.008 * math.sqrt(size_hw[0] * size_hw[1])))
    noise = np.random.default_rng(seed).standard_normal(size_hw, dtype=np.float32)
    for _ in range(3):  # three boxes are nearly a Gaussian, and as fast at any width
        ndimage.uniform_filter(noise, blur, output=noise)
    gradient = np.hypot(ndimage.sobel(noise, 0), ndimage.sobel(noise, 1))
    gradient /= np.percentile(gradient[::5, ::5], 99)
    return np.clip(1 - gradient, 0, 1)


def save_map(path: Path, size_hw: tuple[int, int]) -> None:
    """Write the map of this size to `path`."""
    np.save(path, smooth_map(size_hw, seed=0))


def most_memory() -> int:
    """Return the most bytes that this process ever held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(path: Path, params: GroupingParams) -> tuple[float, int]:
    """Return seconds and additional bytes of one call for the map in `path`."""
    affinity = np.load(path)
    group(affinity[:200, :200], params)  # what is loaded or allocated once, at the first call
    before, start = most_memory(), time.perf_counter()
    group(affinity, params)
    return time.perf_counter() - start, most_memory() - before


def count_regions(path: Path, params: GroupingParams) -> int:
    """Return the number of regions in the finest partition of the map in `path`."""
    return int(build_hierarchy(np.load(path), params).labels.max()) + 1


def main() -> None:
    """Print one line per size and weight of the globalization."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--weights", nargs="+", type=float, default=[0.0, 0.5])
    parser.add_argument("--seed-spacing", type=float, default=GroupingParams().seed_spacing)
    arguments = parser.parse_args()

    print("| megapixels | globalization | regions | seconds | ns / (n log2 n) | peak bytes / px |")
    print("|---|---|---|---|---|---|", flush=True)
    # This process makes no map, because a new one starts with what its parent held.
    fresh = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool,
    ):
        path = Path(folder, "affinity.npy")
        for size_hw in SIZES_HW:
            pixels = size_hw[0] * size_hw[1]
            pool.submit(save_map, path, size_hw).result()
            for weight in arguments.weights:
                params = GroupingParams(
                    globalization_weight=weight, seed_spacing=arguments.seed_spacing
                )
                regions = pool.submit(count_regions, path, params).result()
                seconds, added = pool.submit(measure, path, params).result()
                scaled = 1e9 * seconds / (pixels * math.log2(pixels))
                row = [f"{pixels / 1e6:.1f}", f"{weight:g}", str(regions), f"{seconds:.2f}"]
                row += [f"{scaled:.1f}", f"{added / pixels:.1f}"]
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
