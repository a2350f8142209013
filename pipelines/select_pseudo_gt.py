"""Stage `select_pseudo_gt`: rank the candidates, keep the best, merge them with the annotations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core import Instances
from ggn.core.coco import annotations_by_image, read_coco
from ggn.core.masks import RLE, from_segmentation
from ggn.pseudo_gt.learn import learn_scores
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.publish import write_as_json, write_as_store
from ggn.pseudo_gt.rank import rank_candidates, read_scores
from ggn.pseudo_gt.select import Quality, resized, select
from ggn.store.read import Store
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/candidates",
    "data/{split}/candidate_scores.json",
)
Records = Sequence[Mapping[str, Any]]


def main(split: str) -> None:
    """Write data/SPLIT/pseudo_gt (JSON or a store) and data/SPLIT/training/ggn.json."""
    with open_stage("select_pseudo_gt", split, inputs=INPUTS) as run:
        params = run.params(PseudoGtParams)
        dataset = read_coco(run.data / "training" / "baseline.json")
        hidden = annotations_by_image(read_coco(run.data / "prepared" / "hidden.json"))
        annotated = annotations_by_image(dataset)
        sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
        stored = Store(run.data / "candidates")
        names = stored.feature_names
        given = read_scores(run.data / "candidate_scores.json")
        if params.rank == "learned" and not names:
            raise ValueError("pseudo_gt.rank: learned needs features, which fetched masks lack")
        if params.rank == "learned":
            given = learn_scores(
                (item, objects(annotated[item.image_id], sizes[item.image_id]))
                for item in stored.read_all(list(sizes))
            )
        quality = Quality()

        def selected() -> Iterator[tuple[int, Instances, NDArray[np.float64]]]:
            for item in stored.read_all(list(sizes)):
                image_id, size_hw = item.image_id, sizes[item.image_id]
                masks = [from_segmentation(r["segmentation"], size_hw) for r in annotated[image_id]]
                ranked = resized(rank_candidates(item, names, params.rank, given), size_hw)
                chosen, overlap = select(ranked, masks, params)
                quality.add(chosen, objects(hidden[image_id], size_hw))
                yield image_id, chosen, overlap

        write = write_as_store if params.per_image else write_as_json
        write(dataset, selected(), run.data / "pseudo_gt", run.data / "training" / "ggn.json")
        counts = {"pseudo_masks": quality.pseudo, "hidden_objects": quality.hidden}
        measured = quality.metrics() if quality.hidden else {}
        run.report(run.reports / "pseudo_gt.json", {**counts, **measured})


def objects(records: Records, size_hw: tuple[int, int]) -> list[RLE]:
    """Return the masks of an image's annotations that are no crowds."""
    single = [record for record in records if not record.get("iscrowd", 0)]
    return [from_segmentation(record["segmentation"], size_hw) for record in single]


if __name__ == "__main__":
    run_stage(main)
