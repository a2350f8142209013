"""Pseudo-GT of 1.2 million synthetic images, 10 masks each: written, then read shuffled.

Run it as `python benchmarks/store.py FOLDER` (3 GB; removed at the end).
"""

import argparse
import resource
import shutil
import time
from pathlib import Path

import numpy as np

from ggn.core import Instances
from ggn.core.masks import RLE, encode
from ggn.data.mask_store import MaskStore, MaskStoreWriter

SIZE_HW = (375, 500)
MASKS = 10


def blobs(count: int) -> list[RLE]:
    """Return ellipses of random places and sizes, as RLE."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: SIZE_HW[0], : SIZE_HW[1]]
    made = []
    for _ in range(count):
        cy, cx = rng.uniform(0, SIZE_HW[0]), rng.uniform(0, SIZE_HW[1])
        ry, rx = rng.uniform(10, 90, 2)
        made += encode((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)[None])
    return made


def memory() -> float:
    """Most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Write, open, read; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_200_000)
    parser.add_argument("--reads", type=int, default=1_200_000)
    given = parser.parse_args()
    masks, rng = blobs(1000), np.random.default_rng(1)
    scores = np.linspace(0.9, 0.1, MASKS)
    folder = given.folder / "store"
    started = time.perf_counter()
    with MaskStoreWriter(folder) as writer:
        for image_id in range(given.images):
            first = image_id * 7 % (len(masks) - MASKS)
            writer.add(image_id, Instances(masks[first:][:MASKS], scores, SIZE_HW), scores)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**30
    print(f"written: {given.images / seconds:.0f} images/s, {size:.2f} GiB, {memory():.0f} MiB")
    started = time.perf_counter()
    store = MaskStore(folder)
    print(f"opened: {len(store)} images in {time.perf_counter() - started:.2f} s")
    order = rng.permutation(store.image_ids)[: given.reads]
    started, busy = time.perf_counter(), time.process_time()
    for image_id in order.tolist():
        found = store.read(image_id)
        assert found is not None
        assert len(found) == MASKS
        if image_id % 1000 == 0:
            assert found.masks[0] == masks[image_id * 7 % (len(masks) - MASKS)]
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    rates = f"{len(order) / seconds:.0f} images/s, {len(order) / busy:.0f} a second of CPU"
    print(f"read shuffled: {rates}, {memory():.0f} MiB")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
