"""The pseudo_gt section of params.yaml says what is allowed."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from ggn.grouping import FEATURE_NAMES
from ggn.pseudo_gt.params import PseudoGtParams, RankName


def test_the_defaults_are_the_reference_recipe() -> None:
    assert PseudoGtParams().model_dump() == {
        "top_k": 3,
        "max_annotation_iou": 0.5,
        "rank": "extracted",
        "min_score": None,
        "nms_iou": 0.2,
        "min_area": 1,
        "warn_below_f1": 0.05,
        "per_image": False,
    }


def test_every_ranking_is_a_feature_that_the_grouping_computes() -> None:
    scores = {name.removeprefix("score_") for name in FEATURE_NAMES if name.startswith("score_")}
    assert set(get_args(RankName)) - {"extracted", "learned", "oln"} == scores


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("top_k", 0, "greater than or equal to 1"),
        ("top_k", 2.0, "valid integer"),
        ("max_annotation_iou", 0.0, "greater than 0"),
        ("max_annotation_iou", 1.5, "less than or equal to 1"),
        ("rank", "oracle", "Input should be 'extracted', 'outline_affinity'"),
        ("min_score", float("inf"), "finite number"),
        ("min_score", "0.3", "valid number"),
        ("nms_iou", 1.1, "less than or equal to 1"),
        ("min_area", 0, "greater than or equal to 1"),
        ("topk", 3, "Extra inputs are not permitted"),
    ],
)
def test_refusals_name_the_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?s)\n{key}\n.*{message}"):
        PseudoGtParams.model_validate({key: value})
