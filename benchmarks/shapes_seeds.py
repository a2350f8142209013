"""Baseline, GGN and an oracle on `shapes`, for several seeds: prints the table of docs/results.md.

The oracle is the same detector trained on all annotations, those of the unseen families included.
Nobody has them in practice; it tells how much of the possible gain GGN brings.

    python benchmarks/shapes_seeds.py --seeds 0 1 2 --workspace build/seeds
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

from ruamel.yaml import YAML

from ggn.core.coco import read_coco, read_json, write_json
from ggn.data.images import read_image
from ggn.detector import load_detector
from ggn.detector.params import DetectorParams
from ggn.detector.train import train_detector
from ggn.evaluation import evaluate_partitions
from pipelines.stage import load_params, read_params

ROOT = Path(__file__).parents[1]
SPLIT = "shapes"
SHOWN = ("unseen/mask_AR_100", "unseen/mask_AR_10", "unseen/box_AR_100", "seen/mask_AR_100")


def checkout(folder: Path, seed: int) -> None:
    """Lay out the project in `folder`: images, initial weights and order from this seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".dvc").mkdir(exist_ok=True)
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    for name in ("ggn", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["seed"], params["active"] = seed, [SPLIT]
    params["splits"][SPLIT]["data"]["shapes"]["seed"] = seed
    yaml.dump(params, folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)  # noqa: S607


def oracle(folder: Path, seed: int) -> dict[str, float]:
    """Train the detector on all annotations of the training images and evaluate it."""
    data = folder / "data" / SPLIT
    out = folder / "models" / SPLIT / "oracle"
    dataset = read_coco(data / "training" / "baseline.json")
    hidden = read_coco(data / "prepared" / "hidden.json")
    dataset["annotations"] = dataset["annotations"] + hidden["annotations"]
    sections: Any = load_params(SPLIT, read_params(folder / "params.yaml"))
    params: DetectorParams = sections["detector"]
    prepared = data / "prepared"
    train_detector(params, dataset, prepared / "train", out, folder / ".scratch/oracle", seed)
    detector = load_detector(out)
    val = read_coco(prepared / "val.json")
    results = [
        record
        for image in val["images"]
        for record in detector.predict(
            read_image(prepared / "val" / image["file_name"])
        ).to_coco_results(image["id"])
    ]
    split = json.loads((prepared / "split.json").read_text())
    unseen = split["unseen"]
    seen = sorted(set(split["val_categories"]) - set(unseen))
    metrics = evaluate_partitions(val, results, {"seen": seen, "unseen": unseen, "all": None})
    write_json(folder / "reports" / SPLIT / "oracle" / "evaluation.json", metrics)
    return metrics


def run(folder: Path, seed: int) -> dict[str, Any]:
    """Run the pipeline and the oracle once; what is done already is not done again."""
    checkout(folder, seed)
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=folder, check=True)
    seconds = time.monotonic() - started
    reports = folder / "reports" / SPLIT
    finished = reports / "oracle" / "evaluation.json"
    return {
        **read_json(reports / "comparison.json"),
        "oracle": read_json(finished) if finished.exists() else oracle(folder, seed),
        "pseudo_gt": read_json(reports / "pseudo_gt.json"),
        "seconds": seconds,
    }


def main() -> None:
    """Run all seeds and print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workspace", type=Path, default=Path("build/seeds"))
    arguments = parser.parse_args()
    results = {s: run(arguments.workspace / str(s), s) for s in arguments.seeds}
    for name in SHOWN:
        print(f"\n`{name}`\n\n| seed | baseline | GGN | oracle | gain | share of the possible |")
        print("|---|---:|---:|---:|---:|---:|")
        rows = {
            str(s): [r[m][name] for m in ("baseline", "ggn", "oracle")] for s, r in results.items()
        }
        rows["mean"] = [mean(column) for column in zip(*rows.values(), strict=True)]
        for seed, (low, ggn, high) in rows.items():
            share = (ggn - low) / (high - low) if high > low else float("nan")
            print(
                f"| {seed} | {low:.3f} | {ggn:.3f} | {high:.3f} | {ggn - low:+.3f} | {share:.0%} |"
            )
    for seed, result in results.items():
        print(
            f"\nseed {seed}: dvc repro {result['seconds']:.0f} s, pseudo-GT {result['pseudo_gt']}"
        )


if __name__ == "__main__":
    main()
