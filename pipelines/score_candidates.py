"""Stage `score_candidates`: score the candidates with an OLN trained on the seen annotations."""

from rich.progress import track

from ggn import detector  # imports torch only on first use
from ggn.data.images import read_image
from ggn.data.prepare import training_images
from ggn.pseudo_gt.params import PseudoGtParams
from ggn.pseudo_gt.rank import oln_scores, write_scores
from ggn.store.read import Store
from pipelines.stage import open_stage, run_stage

INPUTS = (
    "data/{split}/prepared",
    "data/{split}/training/baseline.json",
    "data/{split}/candidates",
    "data/{split}/inherited/pseudo_gt",
)


def main(split: str) -> None:
    """Write data/SPLIT/candidate_scores.json: an empty list unless `pseudo_gt.rank` is `oln`."""
    with open_stage("score_candidates", split, inputs=INPUTS) as run:
        scores = {}
        if run.params(PseudoGtParams).rank == "oln":
            weights = run.inherited("pseudo_gt", f"models/{split}/baseline")
            oln = detector.load_detector(weights, device=run.device)
            _, files = training_images(run.data)
            items = Store(run.data / "candidates").read_all(list(files))
            for item in track(items, "score", total=len(files), console=run.console):
                image = read_image(files[item.image_id])
                found = item.instances.resized((image.shape[0], image.shape[1]))
                ratings = oln.rate_boxes(image, found.boxes_xyxy)
                scores[item.image_id] = oln_scores(item, *ratings)
        write_scores(run.data / "candidate_scores.json", scores)


if __name__ == "__main__":
    run_stage(main)
