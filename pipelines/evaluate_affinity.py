"""Stage `evaluate_affinity`: errors of the affinity map, recall of the segments grouped from it."""

from typing import Any

from rich.progress import track

from ggn.affinity import AffinityErrors, load_affinity
from ggn.core.coco import read_coco
from ggn.data.prepare import read_prepared
from ggn.data.samples import AffinitySamples
from ggn.data.splits import split_annotations
from ggn.evaluation import evaluate_partitions
from ggn.evaluation.params import EvaluationParams
from ggn.grouping import GroupingParams, group
from pipelines.stage import open_stage, run_stage

INPUTS = ("data/{split}/prepared", "models/{split}/affinity")


def main(split: str) -> None:
    """Write reports/SPLIT/affinity.json, on the partition `evaluation.affinity_partition`."""
    with open_stage("evaluate_affinity", split, inputs=INPUTS) as run:
        prepared, params = read_prepared(run.data / "prepared"), run.params(EvaluationParams)
        partition = params.affinity_partition
        val = read_coco(run.data / "prepared" / "val.json")
        chosen = prepared.partitions[partition]
        kept = val if chosen is None else split_annotations(val, chosen)[0]
        network = load_affinity(run.models / "affinity", run.device)
        samples, errors = AffinitySamples(kept, prepared.val_images), AffinityErrors()
        segments: list[dict[str, Any]] = []
        for index in track(range(len(samples)), "evaluate", console=run.console):
            image, labels, image_id = samples[index]
            affinity = network.predict(image.permute(1, 2, 0).numpy())
            errors.add(affinity, labels.numpy())
            segments += group(affinity, run.params(GroupingParams)).to_coco_results(image_id)
        recall = evaluate_partitions(val, segments, {partition: chosen}, protocol=params.protocol)
        grouped = {name: value for name, value in recall.items() if "_AR_" in name}
        facts = {"partition": partition, "protocol": params.protocol}
        run.report(run.reports / "affinity.json", {**errors.metrics(), **grouped}, **facts)


if __name__ == "__main__":
    run_stage(main)
