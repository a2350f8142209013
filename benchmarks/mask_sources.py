"""Candidate masks of a split's training images from sources that learn nothing, as COCO results.

    python benchmarks/mask_sources.py data/shapes gradient data/raw/shapes_gradient.json

DATA is the folder of a split whose stage `prepare` has run. `gradient` takes the smoothness of an
image's colours, exp(-|∇I| / s) with s the mean |∇I|, for its affinity, and groups it as the
pipeline groups the learned one; `boxes` draws rectangles. A split takes such a file by
`grouping.candidates_from` (docs/sources.md).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ggn.core.coco import write_json
from ggn.core.instances import Instances
from ggn.core.masks import encode
from ggn.data.images import read_image
from ggn.data.prepare import training_images
from ggn.grouping import GroupingParams, group
from pipelines.stage import load_params

BOXES = 100  # of an image
SMOOTHING = 1.0  # pixels, of the colours, before the gradient


def gradient(image: NDArray[np.uint8], _: int, params: GroupingParams) -> Instances:
    """Group the smoothness of the colours."""
    from scipy.ndimage import gaussian_gradient_magnitude

    channels = image.astype(np.float32).transpose(2, 0, 1)
    steep = np.max([gaussian_gradient_magnitude(c, SMOOTHING) for c in channels], axis=0)
    affinity = np.exp(-steep / max(float(steep.mean()), 1e-6)).astype(np.float32)
    return group(affinity, params)


def boxes(image: NDArray[np.uint8], image_id: int, _: GroupingParams) -> Instances:
    """Draw rectangles of a tenth to a half of each side, in random order; the id is the seed."""
    height, width = image.shape[:2]
    rng = np.random.default_rng(image_id)
    masks = np.zeros((BOXES, height, width), dtype=np.uint8)
    for mask in masks:
        high, wide = (rng.uniform(0.1, 0.5, 2) * (height, width)).astype(int).clip(1)
        top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
        mask[top : top + high, left : left + wide] = 1
    scores = np.sort(rng.random(BOXES))[::-1].astype(np.float32)
    return Instances(encode(masks), scores, (height, width))


SOURCES: dict[str, Callable[[NDArray[np.uint8], int, GroupingParams], Instances]] = {
    "gradient": gradient,
    "boxes": boxes,
}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data/SPLIT")
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("out", type=Path, help="FILE.json")
    arguments = parser.parse_args()
    params = load_params(arguments.data.name)["grouping"]
    assert isinstance(params, GroupingParams)
    _, files = training_images(arguments.data)
    results = []
    for image_id, file in track(files.items(), arguments.source):
        found = SOURCES[arguments.source](read_image(file), image_id, params)
        results += found.to_coco_results(image_id)
    write_json(arguments.out, results)
    print(f"{arguments.out}: {len(results)} masks of {len(files)} images")


if __name__ == "__main__":
    main()
