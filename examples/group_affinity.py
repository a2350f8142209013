"""Group an affinity of your own: python examples/group_affinity.py. Here it is a plain gradient."""

from pathlib import Path

import numpy as np
from skimage.data import coins
from skimage.filters import gaussian, sobel

import ggn
from ggn.evaluation.pictures import affinity_picture, overlay, write_gallery

OUT = Path("groups")


def gradient_affinity(grey: np.ndarray) -> np.ndarray:
    """Return float32 (H, W) in [0, 1]: 1 where the image is smooth, 0 on its strongest edges."""
    edges = sobel(gaussian(grey, 2))
    return (1 - np.clip(edges / np.percentile(edges, 97), 0, 1)).astype(np.float32)


def main() -> None:
    """Draw the segments of the coins to groups/coins.png."""
    grey = coins()
    affinity = gradient_affinity(grey)
    params = ggn.GroupingParams(score="outline_affinity", min_area=500, border_fraction=0.2)
    segments = ggn.group(affinity, params)
    print(segments)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    pictures = {
        "image": image,
        "affinity": affinity_picture(affinity),
        "best 24 segments": overlay(image, segments[:24]),
    }
    write_gallery(OUT / "coins.png", [pictures], ["coins"])


if __name__ == "__main__":
    main()
