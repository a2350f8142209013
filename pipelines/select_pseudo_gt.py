"""Stage `select_pseudo_gt`: rank the candidates, keep the best, merge them with the annotations."""

from ggn.core.coco import annotations_by_image, read_coco, write_json
from ggn.core.masks import from_segmentation
from ggn.pseudo_gt.merge import merge, pseudo_category, records
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.rank import rank_candidates
from ggn.pseudo_gt.select import Quality, resized, select
from ggn.pseudo_gt.store import feature_names, read_candidates
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/candidates",
)


def main(split: str) -> None:
    """Write data/SPLIT/pseudo_gt (interchange and COCO JSON) and data/SPLIT/training/ggn.json."""
    with open_stage("select_pseudo_gt", split, inputs=INPUTS) as run:
        params = run.params(PseudoGtParams)
        dataset = read_coco(run.data / "training" / "baseline.json")
        hidden = annotations_by_image(read_coco(run.data / "prepared" / "hidden.json"))
        annotated = annotations_by_image(dataset)
        sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
        names = feature_names(run.data / "candidates")
        category, quality, pseudo = pseudo_category(dataset), Quality(), {}
        for item in read_candidates(run.data / "candidates", list(sizes)):
            size_hw = sizes[item.image_id]
            masks = [
                from_segmentation(r["segmentation"], size_hw) for r in annotated[item.image_id]
            ]
            objects = [r for r in hidden[item.image_id] if not r.get("iscrowd", 0)]
            hidden_masks = [from_segmentation(r["segmentation"], size_hw) for r in objects]
            ranked = resized(rank_candidates(item, names, params.rank), size_hw)
            chosen, overlap = select(ranked, masks, params)
            quality.add(chosen, hidden_masks)
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


if __name__ == "__main__":
    run_stage(main)
