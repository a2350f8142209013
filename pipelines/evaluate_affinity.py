"""Stage `evaluate_affinity`: errors of the affinity map, recall of the segments grouped from it.

Both as extraction has them: of images that are shrunk to `grouping.longest_side`.
"""

from functools import partial
from typing import Any

from rich.progress import track

from ggn.affinity import AffinityErrors, load_affinity
from ggn.core.coco import read_coco
from ggn.core.masks import sample
from ggn.data.prepare import read_prepared
from ggn.data.samples import AffinitySamples
from ggn.data.splits import split_annotations
from ggn.evaluation import evaluate_partitions
from ggn.evaluation.order import in_order
from ggn.evaluation.params import EvaluationParams
from ggn.grouping import GroupingParams, candidates_of
from pipelines.stage import NO_NETWORK, open_stage, run_stage

INPUTS = ("data/{split}/prepared", "models/{split}/affinity")
Found = tuple[AffinityErrors, list[dict[str, Any]]]


def main(split: str) -> None:
    """Write reports/SPLIT/affinity.json, on the partition `evaluation.affinity_partition`."""
    with open_stage("evaluate_affinity", split, inputs=INPUTS) as run:
        if (run.models / "affinity" / NO_NETWORK).exists():
            run.report(run.reports / "affinity.json", {}, affinity="none")
            return
        prepared, params = read_prepared(run.data / "prepared"), run.params(EvaluationParams)
        partition = params.affinity_partition
        val = read_coco(run.data / "prepared" / "val.json")
        chosen = prepared.partitions[partition]
        kept = val if chosen is None else split_annotations(val, chosen)[0]
        if not kept["annotations"]:
            run.console.print(f"no {partition} objects to measure on: all objects are used")
            partition, chosen, kept = "all", None, val
        network = load_affinity(run.models / "affinity", run.device)
        samples, grouping = AffinitySamples(kept, prepared.val_images), run.params(GroupingParams)
        errors = AffinityErrors()
        segments: list[dict[str, Any]] = []

        def find(index: int) -> Found:
            image, labels, image_id = samples[index]
            affinity, found = candidates_of(
                image.permute(1, 2, 0).numpy(), network.predict, grouping
            )
            own, (height, width) = AffinityErrors(), labels.shape
            own.add(affinity, sample(labels.numpy(), affinity.shape))
            return own, found.instances.resized((height, width)).to_coco_results(image_id)

        found = in_order(partial(find, index) for index in range(len(samples)))
        for own, of_image in track(found, "evaluate", len(samples), console=run.console):
            errors.merge(own)
            segments += of_image
        recall = evaluate_partitions(val, segments, {partition: chosen}, protocol=params.protocol)
        grouped = {name: value for name, value in recall.items() if "_AR_" in name}
        facts = {"partition": partition, "protocol": params.protocol}
        run.report(run.reports / "affinity.json", {**errors.metrics(), **grouped}, **facts)


if __name__ == "__main__":
    run_stage(main)
