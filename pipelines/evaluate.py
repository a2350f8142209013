"""Stage `evaluate`: average recall and precision of one recipe on seen, unseen and all objects."""

from ggn.data.prepare import read_prepared
from ggn.evaluation import evaluate_partitions
from ggn.evaluation.params import EvaluationParams
from ggn.evaluation.report import without_empty_partitions
from pipelines.stage import open_stage, run_stage

INPUTS = ("data/{split}/prepared", "data/{split}/predictions/{recipe}")


def main(split: str, recipe: str) -> None:
    """Write reports/SPLIT/RECIPE/evaluation.json."""
    with open_stage("evaluate", split, recipe, inputs=INPUTS) as run:
        params = run.params(EvaluationParams)
        metrics = evaluate_partitions(
            run.data / "prepared" / "val.json",
            run.data / "predictions" / recipe,
            partitions=read_prepared(run.data / "prepared").partitions,
            protocol=params.protocol,
            iou_types=params.iou_types,
        )
        metrics, empty = without_empty_partitions(metrics)
        for partition in empty:
            val = run.data / "prepared" / "val.json"
            run.console.print(f"{val}: no {partition} objects; their metrics are left out")
        run.report(run.reports / recipe / "evaluation.json", metrics, protocol=params.protocol)


if __name__ == "__main__":
    run_stage(main)
