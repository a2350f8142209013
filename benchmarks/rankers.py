"""Quality of the pseudo ground truth that each ranking selects, against the hidden annotations.

    OMP_NUM_THREADS=1 python benchmarks/rankers.py WORKSPACE SPLIT

WORKSPACE is a checkout in which `dvc repro` has run the split as far as `extract_regions`. Prints a
Markdown table: precision, recall and F1 of the first K candidates that are not annotated already.
The row `oln` is there if `score_candidates` has run with `pseudo_gt.rank: oln`.
"""

import argparse
from pathlib import Path
from typing import get_args

from ggn.core.coco import annotations_by_image, read_coco
from ggn.pseudo_gt.learn import learn_scores
from ggn.pseudo_gt.params import PseudoGtParams, RankName
from ggn.pseudo_gt.rank import rank_candidates, read_scores
from ggn.pseudo_gt.select import Quality, select
from ggn.store.read import Store
from pipelines.select_pseudo_gt import objects

COUNTS = (1, 3, 5, 10)


def main() -> None:
    """Print one row per ranking."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("split")
    arguments = parser.parse_args()
    data = arguments.workspace / "data" / arguments.split

    dataset = read_coco(data / "training" / "baseline.json")
    sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
    annotated, hidden = (
        {image_id: objects(records[image_id], size_hw) for image_id, size_hw in sizes.items()}
        for records in map(
            annotations_by_image, (dataset, read_coco(data / "prepared" / "hidden.json"))
        )
    )
    stored = Store(data / "candidates")
    items = list(stored.read_all(list(sizes)))
    given = {
        "learned": learn_scores((item, annotated[item.image_id]) for item in items),
        "oln": read_scores(data / "candidate_scores.json"),
    }

    print("| ranking | " + " | ".join(f"K = {k}: P / R / F1" for k in COUNTS) + " |")
    print("|---" * (1 + len(COUNTS)) + "|")
    for rank in get_args(RankName):
        scores = given.get(rank)
        if rank == "oln" and not scores:
            continue
        ranked = {i.image_id: rank_candidates(i, stored.feature_names, rank, scores) for i in items}
        cells = []
        for top_k in COUNTS:
            quality, params = Quality(), PseudoGtParams(top_k=top_k)
            for image_id, found in ranked.items():
                scaled = found.resized(sizes[image_id])
                quality.add(select(scaled, annotated[image_id], params)[0], hidden[image_id])
            measured = quality.metrics()
            shown = (measured[key] for key in ("precision", "recall", "f1"))
            cells.append(" / ".join(f"{value:.3f}" for value in shown))
        print(f"| {rank} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
