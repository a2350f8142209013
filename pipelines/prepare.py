"""Stage `prepare`: validate the dataset, hide the unseen annotations of its training images."""

import importlib
from typing import Any

from ggn.core.coco import write_json
from ggn.data.params import DataParams
from ggn.data.prepare import prepare
from pipelines.stage import open_stage, run_stage


def main(split: str) -> None:
    """Write data/SPLIT/prepared and data/SPLIT/training/baseline.json.

    Each folder of data/SPLIT/inherited always contains a file, so the folder exists even without
    inherited weights.
    """
    with open_stage("prepare", split) as run:
        _require_pretrained(run.sections)
        prepared = prepare(
            run.params(DataParams),
            out_dir=run.data / "prepared",
            training_file=run.data / "training" / "baseline.json",
        )
        for section in ("affinity", "grouping", "pseudo_gt", "detector"):
            write_json(run.data / "inherited" / section / "split.json", {"split": split})
        facts: dict[str, object] = {"dropped": prepared.dropped, "val_set": prepared.val_set}
        odd = {"mended": prepared.mended, "warnings": prepared.warnings}
        facts |= {name: value for name, value in odd.items() if value}
        run.report(run.reports / "prepare.json", prepared.counts, **facts)


def _require_pretrained(sections: dict[str, Any]) -> None:
    """Find missing pretrained weights before the first training rather than in its middle.

    The modules are imported by name: they don't affect results, so they are not DVC dependencies.
    """
    affinity, detector = sections["affinity"], sections["detector"]
    trained = [detector.backbone] if detector.init_from is None else []
    if affinity.weights_from is None and sections["grouping"].candidates_from is None:
        trained.append(affinity.backbone)
    for backbone in trained:
        if backbone.weights is not None:
            importlib.import_module("ggn.engine.backbone").require_weights(backbone)


if __name__ == "__main__":
    run_stage(main)
