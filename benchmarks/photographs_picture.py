"""The picture of README: photographs that scikit-image ships, through the networks of a row.

    python benchmarks/photographs_picture.py models/coco_sample docs/photographs.png

The photographs are in the public domain, and none was trained on. Pseudo masks are the best
segments, as many as a training image without annotations would get in that row.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from ggn.affinity import load_affinity
from ggn.detector import load_detector
from ggn.evaluation.pictures import affinity_picture, overlay, write_gallery
from ggn.grouping import GroupingParams, group
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import select

PHOTOGRAPHS = ("coffee", "chelsea", "astronaut", "coins")
TOP_K = 6  # of the row
SHOWN = 4  # detections, the best ones: more would hide each other


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder of affinity, baseline and ggn")
    parser.add_argument("out", type=Path, help="PNG")
    arguments = parser.parse_args()
    affinity = load_affinity(arguments.models / "affinity")
    detectors = {name: load_detector(arguments.models / name) for name in ("baseline", "ggn")}
    rows = {}
    for name in PHOTOGRAPHS:
        image = getattr(data, name)()
        image = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
        smoothness = affinity.predict(image)
        pseudo, _ = select(group(smoothness, GroupingParams()), [], PseudoGtParams(top_k=TOP_K))
        rows[name] = {
            "image": image,
            "affinity": affinity_picture(smoothness),
            "pseudo-GT": overlay(image, pseudo),
            **{key: overlay(image, d.predict(image)[:SHOWN]) for key, d in detectors.items()},
        }
    write_gallery(arguments.out, list(rows.values()), list(rows))
    with Image.open(arguments.out) as picture:  # a third of the size: it travels with git
        picture.convert("RGB").quantize(256).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
