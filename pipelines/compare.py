"""Stage `compare`: a table and a gallery that compare GGN with the baseline."""

from pathlib import Path

from ggn.affinity import load_affinity
from ggn.core.coco import annotations_by_image, read_coco, read_json
from ggn.data.images import read_image
from ggn.data.prepare import read_prepared
from ggn.evaluation.comparison import Comparison
from ggn.evaluation.params import RECIPES, EvaluationParams
from ggn.evaluation.pictures import Picture, gallery_row, images_to_show, legend, write_gallery
from ggn.grouping import FEATURE_NAMES, GroupingParams, candidates_of
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.rank import as_extracted, rank_candidates
from ggn.pseudo_gt.select import objects, select
from ggn.store.parquet import ImageInstances
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
        write_gallery(picture, *gallery(run))
        run.log_picture(picture)
        run.track_rows({r: found.tracked(r) for r in RECIPES}, found.protocol, picture)
        run.console.print(found.table(split, file))
        for remark in found.remarks():
            run.console.print(remark, markup=False)


def gallery(run: Stage) -> tuple[list[dict[str, Picture]], list[str], dict[str, str]]:
    """Return pictures by title for each of `images_to_show`, file names, and the legend."""
    prepared, weights = read_prepared(run.data / "prepared"), run.models / "affinity"
    network = None if (weights / NO_NETWORK).exists() else load_affinity(weights)
    grouping, choice = run.params(GroupingParams), as_extracted(run.params(PseudoGtParams))
    val, unseen = read_coco(run.data / "prepared" / "val.json"), set(prepared.unseen)
    stores = {r: Store(run.data / "predictions" / r) for r in RECIPES}
    annotated, rows = annotations_by_image(val), {}
    for image in images_to_show(val, unseen)[:GALLERY_IMAGES]:
        size_hw, truth = (image["height"], image["width"]), annotated[image["id"]]
        pixels = read_image(Path(prepared.val_images) / image["file_name"])
        masks = objects(truth, size_hw, crowds=True)
        seen = [m for m, r in zip(masks, truth, strict=True) if r["category_id"] not in unseen]
        grouped = None
        if network is not None:
            affinity, segments = candidates_of(pixels, network.predict, grouping)
            item = ImageInstances(image["id"], segments.instances, segments.features)
            ranked = rank_candidates(item, FEATURE_NAMES, choice.rank).resized(size_hw)
            grouped = affinity, select(ranked, seen, choice)[0]
        found = {r: store.read(image["id"]).instances for r, store in stores.items()}
        rows[image["file_name"]] = gallery_row(pixels, masks, grouped, found)
    return list(rows.values()), list(rows), legend(choice != run.params(PseudoGtParams))


if __name__ == "__main__":
    run_stage(main)
