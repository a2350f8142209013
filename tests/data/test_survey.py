"""A survey of four squares by hand."""

from typing import Any

import pytest

from ggn.data.survey import survey


def squares(*sides: int) -> dict[str, Any]:
    return {
        "images": [{"id": i, "width": 100 + i, "height": 50} for i in (1, 2, 3)],
        "annotations": [
            {"image_id": 1 if index else 2, "category_id": 7, "area": side * side}
            for index, side in enumerate(sides)
        ],
    }


def test_survey_by_hand() -> None:
    dataset = squares(10, 20, 30, 40)
    dataset["annotations"].append({"image_id": 3, "category_id": 8, "area": 1})
    dataset["annotations"].append({"image_id": 3, "category_id": 7, "area": 1, "iscrowd": 1})
    found = survey(dataset, {7})
    assert (found.images, found.objects, found.image_size_hw) == (3, 4, (50, 102))
    assert (found.side_10, found.side_50, found.side_90) == (13, 25, 37)
    assert (found.objects_50, found.objects_max) == (2, 3)
    assert found.smallest_area == 109  # the hundredth part of the way from 100 to 400


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no image has an annotation of a seen category"):
        survey(squares(10), {8})
