"""Three protocols, three numbers: python examples/evaluate_results.py [TRUTH RESULTS kite].

Without arguments it evaluates the segments of the coins, the large ones of which count as seen.
"""

import sys

import numpy as np
from group_affinity import gradient_affinity
from skimage.data import coins
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import disk, opening

import ggn


def coins_and_segments() -> tuple[dict, list]:
    """Return what thresholding finds of the coins, as if annotated, and segments as results."""
    grey = coins()
    parts = label(opening(grey > threshold_otsu(grey), disk(4)))
    bitmaps = np.stack([parts == number for number in range(1, parts.max() + 1)])
    truth = ggn.Instances.from_bitmaps(bitmaps, np.ones(len(bitmaps)))
    truth = truth[(truth.areas > 500) & (truth.areas < 4000)]
    annotations = [
        {**record, "id": number, "iscrowd": 0, "category_id": 1 if record["area"] > 1250 else 2}
        for number, record in enumerate(truth.to_coco_results(image_id=1), 1)
    ]
    dataset = {
        "images": [{"id": 1, "height": grey.shape[0], "width": grey.shape[1]}],
        "categories": [{"id": 1, "name": "large"}, {"id": 2, "name": "small"}],
        "annotations": annotations,
    }
    segments = ggn.group(gradient_affinity(grey), ggn.GroupingParams(score="outline_affinity"))
    return dataset, segments.to_coco_results(image_id=1)


def main(*words: str) -> None:
    """Print AR at 10 and 100 detections per image under each protocol."""
    truth, results = words[:2] if words else coins_and_segments()
    unseen = list(words[2:]) or ["small"]
    for protocol in ("budget", "plain", "per_class"):
        metrics = ggn.evaluate(truth, results, unseen=unseen, protocol=protocol)
        print(f"{protocol:>10}: AR@10 {metrics['AR_10']:.3f}, AR@100 {metrics['AR_100']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
