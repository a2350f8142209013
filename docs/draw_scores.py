"""Draw the pictures of docs/scores.md: the best segments of scikit-image's coins by each score."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import coins

import ggn
from ggn.evaluation.pictures import affinity_picture, overlay
from ggn.grouping.score import SCORES

HERE = Path(__file__).parent
SHOWN = 24  # there are so many coins


def main() -> None:
    """Write score-NAME.png for each score, and score-affinity.png, beside this file."""
    sys.path.insert(0, str(HERE.parent / "examples"))
    from group_affinity import gradient_affinity

    grey = coins()
    affinity = gradient_affinity(grey)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    save("affinity", affinity_picture(affinity))
    for name in SCORES:
        params = ggn.GroupingParams(score=name, min_area=300, nms_iou=0.2, union_share=0)
        segments = ggn.group(affinity, params)
        small = segments[segments.areas < grey.size / 10]  # the background would cover the rest
        save(name, overlay(image, small[:SHOWN]))


def save(name: str, picture: np.ndarray) -> None:
    """Write a picture of at most 128 colours, a third of the bytes."""
    Image.fromarray(picture).quantize(128).save(HERE / f"score-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
