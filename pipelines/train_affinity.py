"""Stage `train_affinity`: learn the pairwise affinity from the seen annotations."""

from ggn.affinity.params import AffinityParams
from ggn.affinity.train import train_affinity
from ggn.core.coco import read_coco
from ggn.data.prepare import read_prepared
from pipelines.stage import open_stage, run_stage

INPUTS = ("data/{split}/prepared", "data/{split}/training/baseline.json")


def main(split: str) -> None:
    """Write models/SPLIT/affinity."""
    with open_stage("train_affinity", split, inputs=INPUTS) as run:
        metrics = train_affinity(
            run.params(AffinityParams),
            read_coco(run.data / "training" / "baseline.json"),
            read_prepared(run.data / "prepared").train_images,
            run.models / "affinity",
            run.scratch,
            run.seed,
            run.training_logger(),
        )
        run.report(run.reports / "train_affinity.json", metrics)


if __name__ == "__main__":
    run_stage(main)
