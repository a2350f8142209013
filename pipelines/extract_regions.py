"""Stage `extract_regions`: predict the affinity of every training image and group it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress

from ggn.affinity import load_affinity
from ggn.data.images import read_image, shrink
from ggn.data.prepare import training_images
from ggn.grouping import FEATURE_NAMES, GroupingParams, candidates
from ggn.pseudo_gt.cluster import on_ray
from ggn.pseudo_gt.extract import Affinity, Extraction, on_threads, run_workers
from ggn.pseudo_gt.given import from_store
from ggn.pseudo_gt.store import ImageCandidates
from pipelines.stage import count_gpus, open_stage, predicting_device, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/inherited/grouping",
    "models/{split}/affinity",
)
RUNNERS = {"local": on_threads, "ray": on_ray}


def main(
    split: str,
    shards: Annotated[int | None, typer.Option(min=1, help="Workers; else one per GPU.")] = None,
    shard: Annotated[int | None, typer.Option(help="Be worker K of them, from 0 on.")] = None,
    runner: Annotated[Literal["local", "ray"], typer.Option(help="What runs them.")] = "local",
) -> None:
    """Write data/SPLIT/candidates; after a kill, go on with the first image that is not done."""
    gpus = count_gpus()
    workers = shards or (gpus if runner == "local" else 0) or 1
    with open_stage("extract_regions", split, inputs=INPUTS, worker=shard is not None) as run:
        params, (images, files) = run.params(GroupingParams), training_images(run.data)
        given = params.candidates_from
        extraction = Extraction.of(run.scratch, list(files), () if given else FEATURE_NAMES)
        mine = extraction.share(*((0, 1) if shard is None else (shard, workers)))
        if shard is None and workers > 1:
            run_workers("pipelines.extract_regions", [split, "--runner", runner], workers, gpus)
        load = partial(load_predictor, (run.models / "affinity").resolve(), params.longest_side)
        if given:
            extract = from_store(run.inherited("grouping", given), images)
        else:
            extract = RUNNERS[runner](load, partial(group, params), files)
        with Progress(console=run.console) as bar:
            task = bar.add_task("extract", total=extraction.images(mine))
            counts = extraction.run(mine, extract, partial(bar.advance, task))
        if shard is None:
            extraction.assemble(run.data / "candidates")
            run.report(run.reports / "extraction.json", {"images": len(files), **vars(counts)})


def load_predictor(weights: Path, longest_side: int | None) -> Callable[[Path], Affinity]:
    """Load the network on the device of this process: file -> affinity."""
    network = load_affinity(weights, predicting_device())
    return lambda file: network.predict(shrink(read_image(file), longest_side))


def group(params: GroupingParams, image_id: int, affinity: Affinity) -> ImageCandidates:
    """Group the affinity of an image."""
    found = candidates(affinity, params)
    return ImageCandidates(image_id, found.instances, found.features)


if __name__ == "__main__":
    run_stage(main)
