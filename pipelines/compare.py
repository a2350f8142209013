"""Stage `compare`: a table and a gallery that compare GGN with the baseline."""

from pathlib import Path

from ggn.affinity import load_affinity
from ggn.core.coco import annotations_by_image, read_coco, read_json
from ggn.core.masks import from_segmentation
from ggn.data.images import read_image
from ggn.data.prepare import read_prepared
from ggn.evaluation.comparison import RECIPES, Comparison
from ggn.evaluation.params import EvaluationParams
from ggn.evaluation.pictures import LEGEND, Picture, gallery_row, write_gallery
from ggn.grouping import GroupingParams, group
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import select
from ggn.store.read import Store
from pipelines.stage import NO_NETWORK, Stage, open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "models/{split}/affinity",
    *(f"data/{{split}}/predictions/{recipe}" for recipe in RECIPES),
    *(f"reports/{{split}}/{recipe}/evaluation.json" for recipe in RECIPES),
)
GALLERY_IMAGES = 6


def main(split: str) -> None:
    """Write reports/SPLIT/comparison.json, what DVC shows of it, and gallery.png."""
    with open_stage("compare", split, inputs=INPUTS) as run:
        prepared, val = read_prepared(run.data / "prepared"), run.data / "prepared" / "val.json"
        tables = {r: read_json(run.reports / r / "evaluation.json") for r in RECIPES}
        models = {r: run.data / "predictions" / r for r in RECIPES}
        params, picture = run.params(EvaluationParams), run.reports / "gallery.png"
        found = Comparison.measured(tables, val, models, prepared.partitions, params.iou_types)
        file = found.write(run.reports)
        run.metrics.update({f"gain/{name}": gain for name, gain in found.gains().items()})
        pictures = gallery(run)
        write_gallery(picture, list(pictures.values()), list(pictures), LEGEND)
        run.log_picture(picture)
        run.track_rows({r: found.tracked(r) for r in RECIPES}, found.protocol, picture)
        run.console.print(found.table(split, file))
        if not any(name.startswith("unseen/") for name in tables["baseline"]):
            run.console.print("no unseen objects: no metrics of them; the gallery shows others")


def gallery(run: Stage) -> dict[str, dict[str, Picture]]:
    """Return pictures by file name and title: the first images with unseen objects, or any."""
    prepared, weights = read_prepared(run.data / "prepared"), run.models / "affinity"
    network = None if (weights / NO_NETWORK).exists() else load_affinity(weights)
    val, unseen = read_coco(run.data / "prepared" / "val.json"), set(prepared.unseen)
    stores = {recipe: Store(run.data / "predictions" / recipe) for recipe in RECIPES}
    objects, pictures = annotations_by_image(val), {}
    with_unseen = {a["image_id"] for a in val["annotations"] if a["category_id"] in unseen}
    wanted = with_unseen or {a["image_id"] for a in val["annotations"]} or objects.keys()
    for image in [i for i in val["images"] if i["id"] in wanted][:GALLERY_IMAGES]:
        size_hw, truth = (image["height"], image["width"]), objects[image["id"]]
        pixels = read_image(Path(prepared.val_images) / image["file_name"])
        masks = [from_segmentation(record["segmentation"], size_hw) for record in truth]
        seen = [m for m, r in zip(masks, truth, strict=True) if r["category_id"] not in unseen]
        grouped = None
        if network is not None:
            affinity = network.predict(pixels)
            segments = group(affinity, run.params(GroupingParams))
            grouped = affinity, select(segments, seen, run.params(PseudoGtParams))[0]
        found = {r: store.read(image["id"]).instances for r, store in stores.items()}
        pictures[image["file_name"]] = gallery_row(pixels, masks, grouped, found)
    return pictures


if __name__ == "__main__":
    run_stage(main)
