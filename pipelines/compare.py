"""Stage `compare`: the table and the picture that set the baseline beside GGN."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ggn.affinity import load_affinity
from ggn.core.coco import annotations_by_image, read_coco, read_json, write_json
from ggn.core.instances import Instances
from ggn.core.masks import from_segmentation
from ggn.data.images import read_image
from ggn.data.prepare import PreparedSplit, read_prepared
from ggn.evaluation.pictures import Picture, affinity_picture, overlay, write_gallery
from ggn.evaluation.report import comparison_rows, headline_metrics
from ggn.grouping import GroupingParams, candidates
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.select import select
from pipelines.stage import Stage, open_stage, run_stage

RECIPES = ("baseline", "ggn")
INPUTS = (
    "data/{split}/prepared",
    "models/{split}/affinity",
    *(f"data/{{split}}/predictions/{recipe}.json" for recipe in RECIPES),
    *(f"reports/{{split}}/{recipe}/evaluation.json" for recipe in RECIPES),
)
GALLERY_IMAGES = 6


def main(split: str) -> None:
    """Write reports/SPLIT/comparison.json and gallery.png, print the table."""
    with open_stage("compare", split, inputs=INPUTS) as run:
        metrics = {r: read_json(run.reports / r / "evaluation.json") for r in RECIPES}
        protocol = [metrics[r].pop("protocol") for r in RECIPES][0]
        write_json(run.reports / "comparison.json", {"protocol": protocol, **metrics})
        rows = comparison_rows(metrics["baseline"], metrics["ggn"])
        run.metrics.update({f"gain/{row.metric}": row.difference for row in rows if row.difference})
        prepared = read_prepared(run.data / "prepared")
        pictures = dict(gallery(run, prepared))
        write_gallery(run.reports / "gallery.png", list(pictures.values()), list(pictures))
        run.log_picture(run.reports / "gallery.png")
        run.console.print(table(split, protocol, metrics))


def table(split: str, protocol: str, metrics: dict[str, dict[str, float]]) -> Table:
    """Return the headline metrics of both recipes and their difference."""
    shown = Table(title=f"{split} (protocol: {protocol})")
    shown.add_column("metric")
    for title in ("baseline", "GGN", "difference"):
        shown.add_column(title, justify="right")
    names = headline_metrics(["unseen", "seen", "all"])
    for row in comparison_rows(metrics["baseline"], metrics["ggn"], names):
        if row.difference is not None:
            values = f"{row.baseline:.3f}", f"{row.ggn:.3f}", f"{row.difference:+.3f}"
            shown.add_row(row.metric, *values)
    return shown


def gallery(run: Stage, prepared: PreparedSplit) -> Iterator[tuple[str, dict[str, Picture]]]:
    """Yield (file name, pictures by title) of the first validation images with unseen objects.

    As many candidates and detections are drawn as the image has objects.
    """
    val = read_coco(run.data / "prepared" / "val.json")
    objects = annotations_by_image(val)
    predictions = {r: by_image(run.data / "predictions" / f"{r}.json") for r in RECIPES}
    affinity = load_affinity(run.models / "affinity", device=run.device)
    unseen = set(prepared.unseen)
    images = [
        image
        for image in val["images"]
        if any(record["category_id"] in unseen for record in objects[image["id"]])
    ]
    for image in images[:GALLERY_IMAGES]:
        size_hw = (image["height"], image["width"])
        pixels = read_image(Path(prepared.val_images) / image["file_name"])
        truth = [r for r in objects[image["id"]] if not r.get("iscrowd")]
        masks = [from_segmentation(record["segmentation"], size_hw) for record in truth]
        seen = [m for m, r in zip(masks, truth, strict=True) if r["category_id"] not in unseen]
        estimate = affinity.predict(pixels)
        segments = candidates(estimate, run.params(GroupingParams))
        pseudo, _ = select(segments, seen, run.params(PseudoGtParams))
        pictures = {
            "image": pixels,
            "ground truth": overlay(pixels, Instances(masks, np.ones(len(masks)), size_hw)),
            "affinity": affinity_picture(estimate),
            "pseudo-GT": overlay(pixels, pseudo),
        }
        for recipe in RECIPES:
            found = Instances.from_coco_results(predictions[recipe].get(image["id"], []), size_hw)
            pictures[recipe] = overlay(pixels, found[: len(truth)])
        yield image["file_name"], pictures


def by_image(path: Path) -> dict[int, list[dict[str, Any]]]:
    """Group a COCO results file by image, best first."""
    grouped: dict[int, list[dict[str, Any]]] = {}
    for record in sorted(read_json(path), key=lambda record: -record["score"]):
        grouped.setdefault(record["image_id"], []).append(record)
    return grouped


if __name__ == "__main__":
    run_stage(main)
