"""Stage `train_detector`: train the class-agnostic detector on one recipe's training file."""

from ggn.core.coco import read_coco
from ggn.data.mask_store import store_of
from ggn.data.prepare import read_prepared
from ggn.data.splits import require_seen
from ggn.detector.params import DetectorParams
from ggn.detector.train import train_detector
from pipelines.stage import open_stage, run_stage

INPUTS = ("data/{split}/prepared", "data/{split}/training/{recipe}.json")


def main(split: str, recipe: str) -> None:
    """Write models/SPLIT/RECIPE from data/SPLIT/training/RECIPE.json."""
    with open_stage("train_detector", split, recipe, inputs=INPUTS) as run:
        file = run.data / "training" / f"{recipe}.json"
        dataset, prepared = read_coco(file), read_prepared(run.data / "prepared")
        require_seen(dataset, prepared.seen, str(file))
        metrics = train_detector(
            run.params(DetectorParams),
            dataset,
            prepared.train_images,
            run.models / recipe,
            run.scratch,
            run.seed,
            run.training_logger(),
            store_of(dataset),
        )
        run.report(run.reports / recipe / "training.json", metrics)


if __name__ == "__main__":
    run_stage(main)
