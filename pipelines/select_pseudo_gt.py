"""Stage `select_pseudo_gt`: rank the candidates, keep the best, merge them with the annotations."""

from collections.abc import Iterator
from typing import Any

from rich.panel import Panel

from ggn.core import Instances
from ggn.core.coco import annotations_by_image, read_coco
from ggn.data.images import read_image
from ggn.data.prepare import training_images
from ggn.evaluation.pictures import Picture, choice_row, write_gallery
from ggn.pseudo_gt.judge import Judgement
from ggn.pseudo_gt.learn import learn_scores
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.publish import write_as_json, write_as_store
from ggn.pseudo_gt.rank import rank_candidates, read_scores
from ggn.pseudo_gt.select import objects, select
from ggn.store.read import Store
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/candidates",
    "data/{split}/candidate_scores.json",
)
SHOWN = 6  # images in the picture


def main(split: str) -> None:
    """Write data/SPLIT/pseudo_gt (JSON or a store), data/SPLIT/training/ggn.json, a picture."""
    with open_stage("select_pseudo_gt", split, inputs=INPUTS) as run:
        params, (_, files) = run.params(PseudoGtParams), training_images(run.data)
        dataset = read_coco(run.data / "training" / "baseline.json")
        hidden = annotations_by_image(read_coco(run.data / "prepared" / "hidden.json"))
        annotated = annotations_by_image(dataset)
        stored, judgement = Store(run.data / "candidates"), Judgement(params)
        shown: dict[str, dict[str, Picture]] = {}
        sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
        given = read_scores(run.data / "candidate_scores.json")
        if params.rank == "learned":
            given = learn_scores(
                (item, objects(annotated[item.image_id], sizes[item.image_id]))
                for item in stored.read_all(list(sizes))
            )

        def selected() -> Iterator[tuple[int, Instances, Any]]:
            for item in stored.read_all(list(sizes)):
                image_id, size_hw = item.image_id, sizes[item.image_id]
                ranked = rank_candidates(item, stored.feature_names, params.rank, given)
                ranked = ranked.resized(size_hw)
                known = objects(annotated[image_id], size_hw, crowds=True)
                chosen, overlap = select(ranked, known, params)
                seen = objects(annotated[image_id], size_hw)
                judgement.add(ranked, chosen, objects(hidden[image_id], size_hw), seen)
                if len(shown) < SHOWN and len(chosen):
                    file = files[image_id]
                    shown[file.name] = choice_row(read_image(file), seen, chosen)
                yield image_id, chosen, overlap

        write = write_as_store if params.per_image else write_as_json
        write(dataset, selected(), run.data / "pseudo_gt", run.data / "training" / "ggn.json")
        run.report(run.reports / "pseudo_gt.json", judgement.metrics())
        write_gallery(picture := run.reports / "pseudo_gt.png", list(shown.values()), list(shown))
        run.log_picture(picture)
        if warning := judgement.warning():
            run.console.print(Panel(warning, title="warning", style="bold red"))


if __name__ == "__main__":
    run_stage(main)
