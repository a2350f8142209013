"""Pseudo masks for a detector of your own: python examples/pseudo_masks.py writes a COCO file."""

from pathlib import Path

from group_affinity import gradient_affinity
from skimage.data import coins

import ggn
from ggn.core.coco import read_coco, write_json
from ggn.core.masks import from_segmentation
from ggn.pseudo_gt.merge import merge, pseudo_category, records
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import select

OUT = Path("pseudo_masks/coins.json")
# What somebody annotated: one of the 24 coins.
ANNOTATED = [155, 28, 171, 35, 178, 51, 171, 67, 155, 74, 139, 67, 132, 51, 139, 35]


def main() -> None:
    """Write the annotated coin and the pseudo masks of others as one file to train from."""
    grey = coins()
    size_hw = grey.shape[0], grey.shape[1]
    coin = from_segmentation([ANNOTATED], size_hw)
    (known,) = ggn.Instances([coin], [1.0], size_hw).to_coco_results(image_id=1)
    dataset = {
        "images": [{"id": 1, "file_name": "coins.png", "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "coin"}],
        "annotations": [{**known, "id": 1, "iscrowd": 0}],
    }
    grouping = ggn.GroupingParams(score="outline_affinity", min_area=500, border_fraction=0.2)
    segments = ggn.group(gradient_affinity(grey), grouping)
    chosen, overlap = select(segments, [coin], PseudoGtParams(top_k=15, min_score=0.5))
    category = pseudo_category(dataset)
    pseudo = records(1, chosen, overlap, category["id"])
    write_json(OUT, merge(dataset, [pseudo], category))
    kinds = [record["source"] for record in read_coco(OUT)["annotations"]]
    print(f"{OUT}: {kinds.count('annotation')} annotation, {kinds.count('pseudo')} pseudo masks")


if __name__ == "__main__":
    main()
