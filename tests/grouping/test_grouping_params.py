"""Parameters of the grouping: what is the default, what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from ggn.grouping import GroupingParams


def test_the_defaults_are_the_references_where_it_has_them() -> None:
    params = GroupingParams()
    assert params.score == "outline_minus_interior"  # ranking method 3
    assert params.nms_iou == 0.5  # its 0.2 is PseudoGtParams.nms_iou, after the final ranking
    assert params.border_fraction == 0.9
    assert params.min_area == 1  # no minimum
    assert params.max_candidates == 100


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed_spacing", 0.0),
        ("seed_spacing", 0.6),
        ("min_seed_spacing", 1),
        ("min_seed_spacing", 2.5),
        ("globalization_weight", -0.1),
        ("globalization_weight", 1.1),
        ("globalization_weight", "0.5"),
        ("score", "contrast"),
        ("score", 3),
        ("min_area", 0),
        ("border_fraction", 1.5),
        ("nms_iou", -0.2),
        ("nms_iou", float("nan")),
        ("max_candidates", 0),
        ("max_candidates", True),
        ("union_share", 1.2),
        ("use_new_affinity", True),
    ],
)
def test_other_values_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        GroupingParams(**{field: value})


def test_params_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GroupingParams().nms_iou = 0.5  # type: ignore[misc]
