"""Parameters of the evaluation: defaults and refusals."""

from typing import Any

import pytest
from pydantic import ValidationError

from ggn.evaluation import EvaluationParams


def test_defaults_are_those_of_the_tables() -> None:
    assert EvaluationParams().model_dump() == {
        "protocol": "budget",
        "iou_types": ["bbox", "segm"],
        "affinity_partition": "unseen",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"protocol": "xclass"}, "protocol\n.*'budget', 'federated', 'per_class' or 'plain'"),
        ({"protocol": None}, "protocol"),
        ({"iou_types": ["mask"]}, "iou_types.0\n.*'bbox' or 'segm'"),
        ({"iou_types": []}, "iou_types\n.*at least 1"),
        ({"iou_types": ["segm", "segm"]}, r"iou_types\n.*at most once, got \['segm', 'segm'\]"),
        ({"iou_types": "segm"}, "iou_types"),
        ({"max_dets": 100}, "max_dets\n.*not permitted"),
    ],
)
def test_faulty_params_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluationParams(**values)
