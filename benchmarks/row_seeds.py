"""Baseline, GGN from several sources, and an oracle on real images: tables of docs/results.md.

    python benchmarks/row_seeds.py coco_sample data/raw/coco_sample --weights resnet18.safetensors
    python benchmarks/row_seeds.py nuclei_large data/raw/nuclei --variants ggn oracle

All detectors of a seed differ in their training file alone. `ggn` is the row; `reference` learns
the affinity by the reference recipe in as many steps, `learned` ranks the row's candidates by
`pseudo_gt.rank: learned`; `gradient` and `boxes` take candidates that nothing was learned for
(mask_sources.py); `oracle` learns from all annotations, which nobody has in practice; `k3` and
`k10` take another number of pseudo masks per image. `--weights` replaces the weights that the
backbones begin with, on machines that cannot download them. Stages that have ended are not run
again, so an interrupted run goes on.

With `--held-out`, five of the twenty seen categories are annotated in evaluation alone and the
categories of the row that are unseen are left out altogether: settings are chosen so, by what has
annotations anyway. Give it a workspace of its own.
"""

import argparse
import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from ruamel.yaml import YAML

from ggn.core.coco import read_coco, read_json, write_json
from ggn.data.splits import PARTITIONS

ROOT = Path(__file__).parents[1]
SHOWN = [
    f"{objects}/{kind}_AR_{k}"
    for objects in ("unseen", "seen")
    for kind in ("mask", "box")
    for k in (10, 100)
] + [f"unseen/mask_AR_{size}_100" for size in "sml"]
REFERENCE = {  # the reference's loss, crops, optimiser and single pass, at the recipe's length
    "recipe": "reference",
    "batch_size": 8,
    "lr": 0.3,
    "warmup_steps": 50,
    "schedule": "cosine",
    "gradient_clip": 1.0,
    "epochs": 9,
    "crop_size": 256,
    "scale_range": [0.5, 1.0],
    "flip": True,
    "pool_channels": 64,
    "head_channels": 64,
    "head_norm": "group",
}
VARIANTS: dict[str, dict[str, Any]] = {  # changes to the sections of the row
    "ggn": {},
    "reference": {"affinity": REFERENCE},
    "learned": {"pseudo_gt": {"rank": "learned"}},
    "gradient": {"affinity": {"train": False}, "grouping": {"candidates_from": "gradient.json"}},
    "boxes": {"affinity": {"train": False}, "grouping": {"candidates_from": "boxes.json"}},
    "k3": {"pseudo_gt": {"top_k": 3}},
    "k10": {"pseudo_gt": {"top_k": 10}},
    "oracle": {},
}
SAME_CANDIDATES = ("learned", "k3", "k10")  # they choose among the candidates of the row
HELD_OUT = [
    "boat",
    "cat",
    "dog",
    "potted plant",
    "tv",
]  # each fourth of VOC's twenty, in VOC's order
KEPT = sorted(PARTITIONS["voc"].names - set(HELD_OUT))


class Run:
    """One seed of one variant, in a folder with params, data, models and reports of its own."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        variant: str,
        split: str,
        data: Path,
        weights: Path | None,
        held_out: bool,
    ) -> None:
        self.folder, self.variant, self.split = folder, variant, split
        self.own = folder / "data" / split
        yaml = YAML()
        params = yaml.load(ROOT / "params.yaml")
        params["seed"], params["active"] = seed, [split]
        row = params["splits"][split] = copy.deepcopy(params["splits"][split])
        raw = folder / row["data"]["root"]
        raw.parent.mkdir(parents=True, exist_ok=True)
        if not raw.exists():
            raw.symlink_to(data.resolve())
        if held_out:
            row["data"].update(seen=KEPT, unseen=HELD_OUT)
        if weights is not None:
            for section in ("affinity", "detector"):
                row[section]["backbone"]["weights"] = str(weights.resolve())
        for section, changes in VARIANTS[variant].items():
            row[section].update(changes)
        if variant == "reference":
            row["affinity"]["backbone"]["norm"] = "frozen_batch"
        source = row["grouping"].get("candidates_from")
        if source is not None:
            link = {"split": split, "section": "grouping", "from": source}
            params["inherited"] = [link]
        yaml.dump(params, folder / "params.yaml")

    def stage(self, name: str, *arguments: str) -> None:
        """Run a stage that has not ended yet."""
        done = self.folder / "done" / "-".join((name, *arguments))
        if done.exists():
            return
        print(f"{self.folder.name}: {name} {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", f"pipelines.{name}", self.split, *arguments]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path}
        subprocess.run(command, cwd=self.folder, check=True, env=environment)
        done.parent.mkdir(exist_ok=True)
        done.touch()

    def take(self, row: "Run", *names: str) -> None:
        """Take outputs of the row, which this variant shares with it."""
        for name in names:
            target = self.folder / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source = row.folder / name
                (shutil.copytree if source.is_dir() else shutil.copy)(source, target)

    def evaluated(self, recipe: str) -> dict[str, float]:
        """Train a detector, predict and evaluate; return its metrics."""
        for name in ("train_detector", "predict", "evaluate"):
            self.stage(name, recipe)
        report = self.folder / "reports" / self.split / recipe / "evaluation.json"
        return dict(read_json(report))

    def extract(self) -> None:
        """Make the candidates and the pseudo ground truth."""
        self.stage("train_affinity")
        self.stage("extract_regions")
        self.stage("score_candidates")
        self.stage("select_pseudo_gt")

    def quality(self) -> dict[str, float]:
        """Return the quality of the pseudo ground truth."""
        return dict(read_json(self.folder / "reports" / self.split / "pseudo_gt.json"))


def measure(run: Run, row: Run) -> dict[str, float]:
    """Make what the variant's detector learns from, train it, return its metrics."""
    data = f"data/{run.split}"
    if run.variant == "ggn":
        run.stage("prepare")
        run.evaluated("baseline")
        run.extract()
        return run.evaluated("ggn")
    run.take(row, f"{data}/prepared", f"{data}/training/baseline.json", f"{data}/inherited")
    run.take(row, f"models/{run.split}/baseline")
    if run.variant == "oracle":
        dataset = read_coco(run.own / "training" / "baseline.json")
        hidden = read_coco(run.own / "prepared" / "hidden.json")
        seen = dataset["annotations"][0]["category_id"]  # the stage refuses an unseen category
        shown = [record | {"category_id": seen} for record in hidden["annotations"]]
        dataset["annotations"] = dataset["annotations"] + shown
        write_json(run.own / "training" / "ggn.json", dataset)
    else:
        if run.variant in ("gradient", "boxes") and not (run.folder / "done" / "source").exists():
            script = ROOT / "benchmarks" / "mask_sources.py"
            out = f"{run.variant}.json"
            command = [sys.executable, str(script), data, run.variant, out]
            path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            environment = os.environ | {"PYTHONPATH": path}
            subprocess.run(command, cwd=run.folder, check=True, env=environment)
            run.stage("inherit", "grouping", out)
        if run.variant in SAME_CANDIDATES:
            run.take(row, f"models/{run.split}/affinity", f"{data}/candidates")
            run.stage("score_candidates")
            run.stage("select_pseudo_gt")
        else:
            run.extract()
    return run.evaluated("ggn")


def main() -> None:
    """Run the variants one after another, each with all seeds, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", help="a row of params.yaml with hidden unseen objects")
    parser.add_argument("data", type=Path, help="folder of its files, as data/raw/SPLIT would be")
    parser.add_argument("--weights", type=Path, help="of both backbones, safetensors")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=["ggn"], choices=list(VARIANTS))
    parser.add_argument("--held-out", action="store_true", help="find held-out seen categories")
    parser.add_argument("--workspace", type=Path, default=Path("build/seeds"))
    arguments = parser.parse_args()
    if "reference" in arguments.variants and arguments.split != "coco_sample":
        parser.error("the variant reference has the steps of coco_sample, and fits no other row")
    table: dict[str, list[dict[str, float]]] = {}
    quality: dict[str, list[dict[str, float]]] = {}
    for variant in arguments.variants:
        for seed in arguments.seeds:
            place = (arguments.split, arguments.data, arguments.weights, arguments.held_out)
            workspace = arguments.workspace / arguments.split
            row = Run(workspace / f"{seed}-ggn", seed, "ggn", *place)
            run = Run(workspace / f"{seed}-{variant}", seed, variant, *place)
            metrics = measure(run, row)
            if variant == "ggn":
                table.setdefault("baseline", []).append(run.evaluated("baseline"))
            table.setdefault(variant, []).append(metrics)
            if variant != "oracle":
                quality.setdefault(variant, []).append(run.quality())
    print(f"\n| metric | {' | '.join(table)} |\n|---" + "|---:" * len(table) + "|")
    for name in SHOWN:
        cells = [[metrics[name] for metrics in runs] for runs in table.values()]
        if any(value < 0 for cell in cells for value in cell):  # there is no such object
            continue
        shown = [f"{mean(c):.3f} ({', '.join(f'{v:.3f}' for v in c)})" for c in cells]
        print(f"| `{name}` | {' | '.join(shown)} |")
    print("\n| source | masks | precision | recall | F1 |\n|---|---:|---:|---:|---:|")
    for variant, found in quality.items():
        masks = mean(q["pseudo_masks"] for q in found)
        names = ("precision", "recall", "f1")
        rates = (f"{mean(q[n] for q in found):.3f} |" for n in names)
        print(f"| {variant} | {masks:.0f} |", *rates)


if __name__ == "__main__":
    main()
