"""The evaluation against numbers recorded from the reference, on annotations of photographs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ggn.evaluation import evaluate_partitions
from ggn.evaluation.average_recall import METRIC_NAMES
from ggn.evaluation.params import IouType


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, Any]:
    golden = shared / "golden"
    return {
        "annotations": json.loads(
            (shared / "data/coco650/annotations/instances_val2017.json").read_text()
        ),
        "predictions": json.loads(gzip.decompress((golden / "E_predictions.json.gz").read_bytes())),
        "results": json.loads((golden / "E_results.json").read_text()),
    }


def renamed(stats: dict[str, Any]) -> dict[str, float]:
    """The recorded metrics under our names: AR@100, AR_s@100, AP50 -> AR_100, AR_s_100, AP_50."""
    names = {
        name: name.replace("@", "_").replace("AP5", "AP_5").replace("AP7", "AP_7") for name in stats
    }
    return {new: stats[old] for old, new in names.items() if new in METRIC_NAMES}


def part(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    return {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}


def test_equals_recorded_budget_numbers(recorded: Any) -> None:
    classes = ["nonvoc", "voc", "nonperson", "all"]
    metrics = evaluate_partitions(
        recorded["annotations"], recorded["predictions"], {name: name for name in classes}
    )
    for name in classes:
        for iou_type, prefix in (("bbox", "box"), ("segm", "mask")):
            expected = renamed(recorded["results"]["xclass"][name][iou_type])
            got = part(metrics, f"{name}/{prefix}_")
            assert set(expected) == set(METRIC_NAMES)
            assert got == pytest.approx(expected, abs=1e-9), (name, iou_type)


@pytest.mark.parametrize(
    ("with_boxes", "iou_type", "recorded_as"),
    [(True, "bbox", "bbox"), (True, "segm", "segm_area_from_bbox"), (False, "segm", "segm")],
)
def test_equals_recorded_plain_numbers(
    recorded: Any, with_boxes: bool, iou_type: IouType, recorded_as: str
) -> None:
    predictions = recorded["predictions"]
    if not with_boxes:
        predictions = [{k: v for k, v in p.items() if k != "bbox"} for p in predictions]
    metrics = evaluate_partitions(
        recorded["annotations"],
        predictions,
        {"all_gt": None, "nonvoc_gt": "nonvoc"},
        protocol="plain",
        iou_types=[iou_type],
    )
    for name in ("all_gt", "nonvoc_gt"):
        expected = renamed(recorded["results"]["plain"][name][recorded_as])
        got = part(metrics, f"{name}/{'box' if iou_type == 'bbox' else 'mask'}_")
        assert set(expected) == set(METRIC_NAMES)
        assert got == pytest.approx(expected, abs=1e-9), name


def test_equals_recorded_per_class_numbers(recorded: Any) -> None:
    metrics = evaluate_partitions(
        recorded["annotations"], recorded["predictions"], {"u": "nonvoc"}, protocol="per_class"
    )
    for iou_type, prefix in (("bbox", "box"), ("segm", "mask")):
        expected = recorded["results"]["per_class_AR100_unseen"][iou_type]
        assert metrics[f"u/{prefix}_AR_100"] == pytest.approx(expected["mean_AR100"], abs=1e-9)
