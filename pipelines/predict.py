"""Stage `predict`: find the objects of every validation image."""

from pathlib import Path

from rich.progress import track

from ggn.core.coco import read_coco, write_json
from ggn.data.images import read_image
from ggn.data.prepare import read_prepared
from ggn.detector import load_detector
from pipelines.stage import open_stage, run_stage

INPUTS = ("data/{split}/prepared", "models/{split}/{recipe}")


def main(split: str, recipe: str) -> None:
    """Write data/SPLIT/predictions/RECIPE.json, a COCO results file."""
    with open_stage("predict", split, recipe, inputs=INPUTS) as run:
        detector = load_detector(run.models / recipe, device=run.device)
        images = read_coco(run.data / "prepared" / "val.json")["images"]
        folder = Path(read_prepared(run.data / "prepared").val_images)
        results = [
            result
            for image in track(images, "predict", console=run.console)
            for result in detector.predict(read_image(folder / image["file_name"])).to_coco_results(
                image["id"]
            )
        ]
        write_json(run.data / "predictions" / f"{recipe}.json", results)


if __name__ == "__main__":
    run_stage(main)
