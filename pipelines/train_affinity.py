"""Stage `train_affinity`: learn the pairwise affinity from the seen annotations."""

from ggn.affinity.params import AffinityParams
from ggn.affinity.train import train_affinity
from ggn.core.coco import read_coco, write_json
from ggn.data.prepare import read_prepared
from ggn.data.splits import require_seen
from ggn.engine.weights import adopt_weights
from pipelines.stage import NO_NETWORK, open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/inherited/affinity",
)


def main(split: str) -> None:
    """Write models/SPLIT/affinity, trained or inherited, and the curves of a training."""
    with open_stage("train_affinity", split, inputs=INPUTS) as run:
        file = run.data / "training" / "baseline.json"
        dataset, prepared = read_coco(file), read_prepared(run.data / "prepared")
        require_seen(dataset, prepared.seen, str(file))
        params, metrics = run.params(AffinityParams), {"steps": 0.0}
        curve = run.reports / "affinity" / "curve.json"
        if params.weights_from is not None:
            given = run.inherited("affinity", params.weights_from)
            adopt_weights(given, run.models / "affinity", "affinity")
            write_json(curve, [])
        elif not params.train:
            write_json(run.models / "affinity" / NO_NETWORK, {"train": False})
            write_json(curve, [])
        else:
            metrics = train_affinity(
                params,
                dataset,
                prepared.train_images,
                run.models / "affinity",
                run.scratch,
                run.seed,
                run.training_logger(),
                curve,
            )
        run.report(run.reports / "train_affinity.json", metrics)


if __name__ == "__main__":
    run_stage(main)
