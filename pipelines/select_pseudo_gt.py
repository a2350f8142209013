"""Stage `select_pseudo_gt`: rank the candidates, keep the best, merge them with the annotations."""

from collections.abc import Mapping, Sequence
from typing import Any

from ggn.core.coco import annotations_by_image, read_coco, write_json
from ggn.core.masks import RLE, from_segmentation
from ggn.pseudo_gt.learn import learn_scores
from ggn.pseudo_gt.merge import merge, pseudo_category, records
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.rank import rank_candidates, read_scores
from ggn.pseudo_gt.select import Quality, resized, select
from ggn.pseudo_gt.store import feature_names, read_candidates
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/candidates",
    "data/{split}/candidate_scores.json",
)
Records = Sequence[Mapping[str, Any]]


def main(split: str) -> None:
    """Write data/SPLIT/pseudo_gt (interchange and COCO JSON) and data/SPLIT/training/ggn.json."""
    with open_stage("select_pseudo_gt", split, inputs=INPUTS) as run:
        params = run.params(PseudoGtParams)
        dataset = read_coco(run.data / "training" / "baseline.json")
        hidden = annotations_by_image(read_coco(run.data / "prepared" / "hidden.json"))
        annotated = annotations_by_image(dataset)
        sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
        names = feature_names(run.data / "candidates")
        given = read_scores(run.data / "candidate_scores.json")
        if params.rank == "learned":
            items = read_candidates(run.data / "candidates", list(sizes))
            given = learn_scores(
                (item, objects(annotated[item.image_id], sizes[item.image_id])) for item in items
            )
        category, quality, pseudo = pseudo_category(dataset), Quality(), {}
        for item in read_candidates(run.data / "candidates", list(sizes)):
            size_hw = sizes[item.image_id]
            masks = [
                from_segmentation(r["segmentation"], size_hw) for r in annotated[item.image_id]
            ]
            ranked = resized(rank_candidates(item, names, params.rank, given), size_hw)
            chosen, overlap = select(ranked, masks, params)
            quality.add(chosen, objects(hidden[item.image_id], size_hw))
            pseudo[item.image_id] = records(item.image_id, chosen, overlap, category["id"])
        lists = [pseudo[image_id] for image_id in sizes]
        folder = run.data / "pseudo_gt"
        write_json(folder / "interchange.json", lists)
        write_json(
            folder / "pseudo_gt.json", merge({**dataset, "annotations": []}, lists, category)
        )
        write_json(run.data / "training" / "ggn.json", merge(dataset, lists, category))
        counts = {"pseudo_masks": quality.pseudo, "hidden_objects": quality.hidden}
        measured = quality.metrics() if quality.hidden else {}
        run.report(run.reports / "pseudo_gt.json", {**counts, **measured})


def objects(records: Records, size_hw: tuple[int, int]) -> list[RLE]:
    """Return the masks of an image's annotations that are no crowds."""
    single = [record for record in records if not record.get("iscrowd", 0)]
    return [from_segmentation(record["segmentation"], size_hw) for record in single]


if __name__ == "__main__":
    run_stage(main)
