"""Stage `train_detector`: train the class-agnostic detector on one recipe's training file."""

from ggn.core.coco import read_coco, write_json
from ggn.data.mask_store import store_of
from ggn.data.prepare import read_prepared
from ggn.data.splits import require_seen
from ggn.detector.params import DetectorParams
from ggn.detector.train import train_detector, write_untrained
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/{recipe}.json",
    "data/{split}/inherited/detector",
)


def main(split: str, recipe: str) -> None:
    """Write models/SPLIT/RECIPE, and the curves, from data/SPLIT/training/RECIPE.json.

    Without annotations (a plain list of images), the baseline is the untrained network.
    """
    with open_stage("train_detector", split, recipe, inputs=INPUTS) as run:
        file = run.data / "training" / f"{recipe}.json"
        dataset, prepared = read_coco(file), read_prepared(run.data / "prepared")
        require_seen(dataset, prepared.seen, str(file))
        params = run.params(DetectorParams)
        given = params.init_from
        curve = run.reports / recipe / "curve.json"
        initial = None if given is None else run.inherited("detector", given)
        if recipe == "baseline" and not dataset["categories"]:
            metrics = write_untrained(params, run.models / recipe, run.seed)
            write_json(curve, [])
        else:
            metrics = train_detector(
                params,
                dataset,
                prepared.train_images,
                run.models / recipe,
                run.scratch,
                run.seed,
                run.training_logger(),
                initial=initial,
                pseudo=store_of(dataset),
                curve=curve,
            )
        run.report(run.reports / recipe / "training.json", metrics)


if __name__ == "__main__":
    run_stage(main)
