"""Baseline, GGN, both with OLN heads, and an oracle on `shapes`: the tables of docs/results.md.

The oracle is the same detector trained on all annotations, those of the unseen families included.
Nobody has them in practice; it tells how much of the possible gain GGN brings. `OLN-ranked` is the
GGN with OLN heads whose pseudo ground truth that row's baseline, an OLN, has ranked.

    python benchmarks/shapes_seeds.py --seeds 0 1 2 --workspace build/seeds [--oln]
"""

import argparse
import json
import shutil
import subprocess
import sys
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
OLN = {"heads": "oln"}
VARIANTS: dict[str, dict[str, Any]] = {  # what differs from the row `shapes`
    "oln": {"detector": OLN},
    "oln_ranked": {
        "detector": OLN,
        "pseudo_gt": {"rank": "oln", "min_score": None, "top_k": 5},
    },
}
SHOWN = (
    "unseen/mask_AR_100",
    "unseen/mask_AR_10",
    "unseen/box_AR_100",
    "seen/mask_AR_100",
    "seen/box_AR_100",
)


def checkout(folder: Path, seed: int, variant: str = "") -> None:
    """Lay out the project in `folder`: images, initial weights and order from this seed.

    A variant starts from what the row itself has made, of which DVC keeps what it may.
    """
    if variant and not folder.exists():
        shutil.copytree(folder.with_name(str(seed)), folder, symlinks=True)
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
    for section, changes in VARIANTS.get(variant, {}).items():
        params["splits"][SPLIT][section].update(changes)
    if params["splits"][SPLIT]["pseudo_gt"].get("rank") == "oln":
        params["inherited"] = [
            {"split": SPLIT, "section": "pseudo_gt", "from": f"models/{SPLIT}/baseline"}
        ]
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


def reproduce(folder: Path, seed: int, variant: str = "") -> dict[str, Any]:
    """Run the pipeline, what is done already not again, and return its reports."""
    checkout(folder, seed, variant)
    subprocess.run([sys.executable, "-m", "pipelines.repro"], cwd=folder, check=True)
    reports = folder / "reports" / SPLIT
    return {**read_json(reports / "comparison.json"), **read_json(reports / "pseudo_gt.json")}


def run(workspace: Path, seed: int, with_oln: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics of each column, and of each pseudo ground truth its quality."""
    folder = workspace / str(seed)
    row = reproduce(folder, seed)
    variants = VARIANTS if with_oln else {}
    others = [reproduce(workspace / f"{seed}-{name}", seed, name) for name in variants]
    finished = folder / "reports" / SPLIT / "oracle" / "evaluation.json"
    best = read_json(finished) if finished.exists() else oracle(folder, seed)
    metrics = {"baseline": row["baseline"], "GGN": row["ggn"]}
    qualities = {"affinity": row}
    if others:
        oln, ranked = others
        metrics |= {"OLN": oln["baseline"], "GGN+OLN": oln["ggn"], "OLN-ranked": ranked["ggn"]}
        qualities["OLN"] = ranked
    return metrics | {"oracle": best}, qualities


def main() -> None:
    """Run all seeds and print one Markdown table per metric, and one of the pseudo-GT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workspace", type=Path, default=Path("build/seeds"))
    parser.add_argument("--oln", action="store_true", help="the variants with OLN heads, too")
    arguments = parser.parse_args()
    results = {seed: run(arguments.workspace, seed, arguments.oln) for seed in arguments.seeds}
    columns = list(results[arguments.seeds[0]][0])
    for name in SHOWN:
        print(f"\n`{name}`\n\n| seed | {' | '.join(columns)} | gain | of the possible |")
        print("|---" + "|---:" * (len(columns) + 2) + "|")
        rows = {str(s): [metrics[c][name] for c in columns] for s, (metrics, _) in results.items()}
        rows["mean"] = [mean(column) for column in zip(*rows.values(), strict=True)]
        for seed, values in rows.items():
            low, ggn, high = values[0], values[1], values[-1]
            share = (ggn - low) / (high - low) if high > low else float("nan")
            shown = " | ".join(f"{value:.3f}" for value in values)
            print(f"| {seed} | {shown} | {ggn - low:+.3f} | {share:.0%} |")
    print("\n| seed | ranked by | masks | hidden objects | precision | recall | F1 |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for seed, (_, qualities) in results.items():
        for ranking, q in qualities.items():
            counts = f"{q['pseudo_masks']} | {q['hidden_objects']}"
            rates = " | ".join(f"{q[name]:.3f}" for name in ("precision", "recall", "f1"))
            print(f"| {seed} | {ranking} | {counts} | {rates} |")


if __name__ == "__main__":
    main()
