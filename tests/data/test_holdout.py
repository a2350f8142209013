"""Images are held out so that each category is in both parts, and nothing is lost."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ggn.data.holdout import hold_out


def dataset(groups: list[set[int]]) -> dict[str, Any]:
    pairs = [(image, category) for image, group in enumerate(groups) for category in group]
    return {
        "info": {},
        "images": [{"id": image} for image in range(len(groups))],
        "annotations": [
            {"id": k, "image_id": i, "category_id": c} for k, (i, c) in enumerate(pairs)
        ],
    }


def test_a_rare_category_is_in_both_parts() -> None:
    train, val = hold_out(dataset([{1}] * 18 + [{1, 2}] * 2), 0.2, seed=0)
    assert [len(part["images"]) for part in (train, val)] == [16, 4]
    for part in (train, val):
        assert {a["category_id"] for a in part["annotations"]} == {1, 2}


def test_images_without_annotations_are_parted_alike() -> None:
    train, val = hold_out(dataset([set()] * 10 + [{1}] * 10), 0.2, seed=3)
    empty = {image["id"] for image in val["images"]} & set(range(10))
    assert (len(val["images"]), len(empty)) == (4, 2)
    assert len(train["annotations"]) == 8


@given(
    st.lists(st.sets(st.integers(1, 4), max_size=3), min_size=2, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_the_parts_are_the_whole(groups: list[set[int]], share: float, seed: int) -> None:
    whole = dataset(groups)
    parts = hold_out(whole, share, seed)
    assert parts == hold_out(whole, share, seed)
    wanted = min(max(1, round(share * len(groups))), len(groups) - 1)
    assert len(parts[1]["images"]) == wanted
    for key in ("images", "annotations"):
        assert sorted(r["id"] for part in parts for r in part[key]) == [r["id"] for r in whole[key]]
    for part in parts:
        ids = {image["id"] for image in part["images"]}
        assert {a["image_id"] for a in part["annotations"]} <= ids


def test_shares_of_frequent_categories_are_near() -> None:
    groups = [{1 + i % 3, 4 + i % 2} for i in range(300)]
    _, val = hold_out(dataset(groups), 0.2, seed=1)
    assert all(
        15 <= n <= 35 for n in Counter(a["category_id"] for a in val["annotations"]).values()
    )


def test_one_image_cannot_be_parted() -> None:
    with pytest.raises(ValueError, match="1 image cannot be divided"):
        hold_out(dataset([{1}]), 0.2, 0)
