"""Categories are found by exact name or id in any dataset, never by COCO's table or a substring."""

from typing import Any

import pytest

from ggn.data.splits import PARTITIONS, require_seen, resolve_categories, split_annotations
from ggn.data.synsets import COCO_SYNSETS

ANIMALS = [
    {"id": 40, "name": "catfish"},
    {"id": 3, "name": "cat"},
    {"id": 9, "name": "Cat"},
    {"id": 1, "name": "dog"},
]


@pytest.mark.parametrize(
    ("spec", "ids"),
    [
        ("all", (40, 3, 9, 1)),
        (["cat"], (3,)),
        (["dog", "catfish"], (40, 1)),
        ([9], (9,)),
        ([1, "dog", "cat"], (3, 1)),
        (["3"], (3,)),
        ([], ()),
    ],
)
def test_any_dataset_resolves_by_exact_name_or_id(spec: Any, ids: tuple[int, ...]) -> None:
    assert resolve_categories(ANIMALS, spec) == ids


def test_a_name_inside_another_is_another_category() -> None:
    people = [{"id": 1, "name": "person"}, {"id": 2, "name": "persona"}, {"id": 3, "name": "per"}]
    assert resolve_categories(people, "person") == (1,)
    assert resolve_categories(people, "nonperson") == (2, 3)


def test_ids_follow_the_dataset_and_not_coco() -> None:
    people = [{"id": 17, "name": "person"}, {"id": 1, "name": "kite"}]
    assert resolve_categories(people, "person") == (17,)
    assert resolve_categories(people, "nonperson") == (1,)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "cat",
            "no partition is named 'cat'; there are all, voc, nonvoc, person, nonperson, coco, ",
        ),
        ("voc,person", "no partition is named 'voc,person'"),
        ("", "no partition is named ''"),
        ("nonperson", "partition 'nonperson' needs categories that the dataset lacks: person; "),
        (["ca"], r"no category is named or numbered 'ca'; there are catfish \(40\), cat \(3\), "),
        ([2], "no category is named or numbered '2'"),
        ([True], "a category must be a name or an id, got True"),
        ([1.0], "a category must be a name or an id, got 1.0"),
    ],
)
def test_what_the_dataset_lacks_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_categories(ANIMALS, spec)


@pytest.mark.parametrize(("part", "rest"), [("voc", "nonvoc"), ("person", "nonperson")])
def test_partitions_part_the_80_categories_of_coco(part: str, rest: str) -> None:
    categories = [{"id": 2 * i, "name": name} for i, name in enumerate(COCO_SYNSETS)]
    inside, outside = (resolve_categories(categories, name) for name in (part, rest))
    assert len(inside) == {"voc": 20, "person": 1}[part]
    assert len(inside) + len(outside) == 80
    assert not set(inside) & set(outside)
    names = {category["name"] for category in categories if category["id"] in inside}
    assert names == PARTITIONS[part].names


def test_split_annotations_keeps_all_images_and_categories_in_both() -> None:
    dataset = {
        "info": {"year": 1},
        "images": [{"id": 1}, {"id": 2}, {"id": 3}],
        "categories": ANIMALS,
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3},
            {"id": 6, "image_id": 1, "category_id": 40},
            {"id": 7, "image_id": 2, "category_id": 1},
        ],
    }
    seen, hidden = split_annotations(dataset, (3,))
    assert [a["id"] for a in seen["annotations"]] == [5]
    assert [a["id"] for a in hidden["annotations"]] == [6, 7]
    for part in (seen, hidden):
        assert {key: part[key] for key in ("info", "images", "categories")} == {
            key: dataset[key] for key in ("info", "images", "categories")
        }
    assert len(dataset["annotations"]) == 3


def test_training_on_an_unseen_category_is_refused_by_name() -> None:
    dataset = {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "kite"}],
        "annotations": [
            {"id": 5, "category_id": 1},
            {"id": 6, "category_id": 3, "source": "pseudo"},
            {"id": 7, "category_id": 2},
        ],
    }
    with pytest.raises(ValueError, match=r"train\.json: annotation 7 has the category 'kite'"):
        require_seen(dataset, (1,), "train.json")
    require_seen(dataset, (1, 2), "train.json")
