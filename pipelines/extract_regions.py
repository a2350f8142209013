"""Stage `extract_regions`: predict the affinity of every training image and group it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ggn.affinity import load_affinity
from ggn.data.images import read_image
from ggn.data.prepare import training_images
from ggn.grouping import FEATURE_NAMES, GroupingParams, affinity_of, candidates
from ggn.pseudo_gt.given import MASK_FEATURE_NAMES, from_source
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

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/inherited/grouping",
    "models/{split}/affinity",
)
MODULE = "pipelines.extract_regions"


def main(split: str, shards: Shards = None, shard: Shard = None, runner: Runner = "local") -> None:
    """Write data/SPLIT/candidates; after a kill, continue with the first image that is not done."""
    workers = Workers(MODULE, [split], runner, shards, shard, count_gpus())
    with open_stage("extract_regions", split, inputs=INPUTS, worker=shard is not None) as run:
        params, (images, files) = run.params(GroupingParams), training_images(run.data)
        given = params.candidates_from
        work = Work.of(run.scratch, list(files), MASK_FEATURE_NAMES if given else FEATURE_NAMES)
        if given:
            find = from_source(run.inherited("grouping", given), images)
        else:
            load = partial(load_predictor, (run.models / "affinity").resolve(), params.longest_side)
            find = workers.find(load, partial(group, params), files)
        counts = workers.carry_out(work, find, run.console)
        if shard is None:
            work.assemble(run.data / "candidates")
            found = {"images": len(files), "candidates": counts.instances}
            run.report(run.reports / "extraction.json", found)
            run.metrics["resumed_images"] = counts.resumed_images


def load_predictor(weights: Path, longest_side: int | None) -> Callable[[Path], Any]:
    """Load the network on the device of this process; return a function file -> affinity."""
    network = load_affinity(weights, predicting_device())
    return lambda file: affinity_of(read_image(file), network.predict, longest_side)


def group(params: GroupingParams, image_id: int, affinity: Any) -> ImageInstances:
    """Group the affinity of an image."""
    found = candidates(affinity, params)
    return ImageInstances(image_id, found.instances, found.features)


if __name__ == "__main__":
    run_stage(main)
