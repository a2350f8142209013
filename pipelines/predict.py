"""Stage `predict`: find the objects of every validation image."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ggn.core import Instances
from ggn.core.coco import read_coco
from ggn.data.images import read_image
from ggn.data.prepare import read_prepared
from ggn.detector import load_detector
from ggn.store.parquet import ImageInstances
from ggn.store.work import Work
from ggn.store.workers import Workers
from pipelines.stage import (
    Runner,
    Shard,
    Shards,
    count_gpus,
    open_stage,
    predicting_device,
    run_stage,
)

INPUTS = ("data/{split}/prepared", "models/{split}/{recipe}")


def main(
    split: str,
    recipe: str,
    shards: Shards = None,
    shard: Shard = None,
    runner: Runner = "local",
) -> None:
    """Write data/SPLIT/predictions/RECIPE, a store; after a kill, continue with the next image."""
    workers = Workers("pipelines.predict", [split, recipe], runner, shards, shard, count_gpus())
    with open_stage("predict", split, recipe, inputs=INPUTS, worker=shard is not None) as run:
        folder = Path(read_prepared(run.data / "prepared").val_images).resolve()
        images = read_coco(run.data / "prepared" / "val.json")["images"]
        files = {image["id"]: folder / image["file_name"] for image in images}
        work = Work.of(run.scratch, list(files), [])
        load = partial(load_predictor, (run.models / recipe).resolve())
        find = workers.find(load, ImageInstances.without_features, files)
        counts = workers.carry_out(work, find, run.console)
        if shard is None:
            work.assemble(run.data / "predictions" / recipe)
            run.metrics["detections"] = counts.instances
            run.metrics["resumed_images"] = counts.resumed_images


def load_predictor(weights: Path) -> Callable[[Path], Instances]:
    """Load the detector on the device of this process; return a function file -> objects."""
    detector = load_detector(weights, device=predicting_device())
    return lambda file: detector.predict(read_image(file))


if __name__ == "__main__":
    run_stage(main)
