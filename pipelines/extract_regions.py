"""Stage `extract_regions`: predict the affinity of every training image and group it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ggn.affinity import load_affinity
from ggn.core.coco import read_coco
from ggn.data.images import read_image
from ggn.data.prepare import read_prepared
from ggn.grouping import FEATURE_NAMES, GroupingParams, candidates
from ggn.pseudo_gt.store import ImageCandidates, ShardWriter, plan_shards, shard_path
from pipelines.stage import Stage, open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "models/{split}/affinity",
)
IMAGES_PER_SHARD = 2000
LOOKAHEAD = 16  # images in flight: enough to keep both threads busy, few enough for any memory


def main(split: str) -> None:
    """Write data/SPLIT/candidates; after a kill, go on with the first image that is not done."""
    with open_stage("extract_regions", split, inputs=INPUTS) as run:
        images = {i["id"]: i for i in read_coco(run.data / "training" / "baseline.json")["images"]}
        plan = plan_shards(list(images), -(-len(images) // IMAGES_PER_SHARD))
        counts = {"images": len(images), "candidates": 0, "resumed_images": 0}
        extract = extractor(run, images)
        with Progress(console=run.console) as bar, ThreadPoolExecutor(max_workers=2) as pool:
            task = bar.add_task("extract", total=len(images))
            for index, ids in enumerate(plan):
                path = shard_path(run.data / "candidates", index, len(plan))
                writer = ShardWriter(run.scratch / f"{path.stem}.log", path, ids, FEATURE_NAMES)
                counts["resumed_images"] += len(writer.finished)
                bar.advance(task, len(writer.finished))
                todo = [image_id for image_id in ids if image_id not in writer.finished]
                for start in range(0, len(todo), LOOKAHEAD):
                    for item in pool.map(extract, todo[start : start + LOOKAHEAD]):
                        writer.append(item)
                        bar.advance(task)
                writer.finish()
                counts["candidates"] += writer.candidates
        run.report(run.reports / "extraction.json", counts)


def extractor(run: Stage, images: dict[int, dict[str, Any]]) -> Callable[[int], ImageCandidates]:
    """Return the function that turns an image id into candidates; its errors name the image."""
    folder = Path(read_prepared(run.data / "prepared").train_images)
    network = load_affinity(run.models / "affinity", run.device)
    params = run.params(GroupingParams)

    def extract(image_id: int) -> ImageCandidates:
        path = folder / images[image_id]["file_name"]
        try:
            found = candidates(network.predict(read_image(path)), params)
        except Exception as error:
            raise RuntimeError(f"image {image_id} ({path}): {error}") from error
        return ImageCandidates(image_id, found.instances, found.features)

    return extract


if __name__ == "__main__":
    run_stage(main)
