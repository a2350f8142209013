"""How much faster two threads group several maps than one: the kernel releases the GIL.

    OMP_NUM_THREADS=1 python benchmarks/grouping_threads.py

Needs two idle cores. One thread and two take turns; the ratio is that of the fastest runs.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from grouping_scaling import smooth_map
from numpy.typing import NDArray

from ggn.grouping import GroupingParams, group

SIZE_HW = (1080, 1920)
MAPS = 6
REPEATS = 5


def seconds_with(
    threads: int, affinities: list[NDArray[np.float32]], params: GroupingParams
) -> float:
    """Return the seconds in which `threads` threads group all maps."""
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(lambda affinity: group(affinity, params), affinities))
        return time.perf_counter() - start


def main() -> None:
    """Print one line per weight of the globalization."""
    affinities = [smooth_map(SIZE_HW, seed) for seed in range(MAPS)]
    print("| globalization | 1 thread, s | 2 threads, s | ratio |")
    print("|---|---|---|---|")
    for weight in (0.0, 0.5):
        params = GroupingParams(globalization_weight=weight)
        times = [
            [seconds_with(threads, affinities, params) for threads in (1, 2)]
            for _ in range(REPEATS)
        ]
        one, two = np.min(times, axis=0)
        print(f"| {weight:g} | {one:.2f} | {two:.2f} | {one / two:.2f} |", flush=True)


if __name__ == "__main__":
    main()
