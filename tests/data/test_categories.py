"""What a person types means one category, by name or by id, or is refused with both readings."""

from typing import Any

import pytest

from ggn.data.categories import CategoryWords, name_key, used_categories
from ggn.data.splits import resolve_categories, resolve_text

ROBOFLOW = [{"id": 0, "name": "kite"}, {"id": 1, "name": "cup"}, {"id": 2, "name": "kite"}]
DIGITS = [{"id": 0, "name": "digits"}, *({"id": i + 1, "name": str(i)} for i in range(10))]
ODD = [
    {"id": 7, "name": "cup, large"},
    {"id": 8, "name": "kite "},
    {"id": 9, "name": "k\u00fcche"},
    {"id": 10, "name": "a"},
    {"id": 11, "name": "b"},
    {"id": 12, "name": "a,b"},
    {"id": 13, "name": '5" pipe'},
    {"id": 14, "name": "\ufb01sh"},
    {"id": 15, "name": "id:7"},
    {"id": 2**63 - 1, "name": "last"},
]


@pytest.mark.parametrize("categories", [ROBOFLOW, ROBOFLOW[::-1], ROBOFLOW[1:] + ROBOFLOW[:1]])
def test_a_category_that_no_annotation_uses_may_share_a_name(categories: Any) -> None:
    words = CategoryWords(categories, used={1, 2})
    assert [words.resolve(word) for word in ("kite", "cup", "2", "0", "id:0", "name:kite")] == [
        2, 1, 2, 0, 0, 2,
    ]  # fmt: skip
    with pytest.raises(
        ValueError, match=r"'kite' may mean the category \d 'kite' \(say id:\d\) or"
    ):
        CategoryWords(categories, used={0, 1, 2}).resolve("kite")


@pytest.mark.parametrize("word", ["3", 3, " 3 "])
def test_a_word_that_is_a_name_and_the_id_of_another_is_refused_with_both(word: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"the category 4 '3' \(say name:3\) or the category 3 '2' \(say id:3\)",
    ):
        resolve_categories(DIGITS, [word], {4, 5})
    assert resolve_categories(DIGITS, ["name:3"]) == (4,)
    assert resolve_categories(DIGITS, ["id:3"]) == (3,)


def test_a_name_that_is_no_id_and_an_id_that_is_no_name_are_clear() -> None:
    assert resolve_categories(DIGITS, [10]) == (10,)  # the names end at 9
    numbers = [{"id": 1, "name": "100"}, {"id": 2, "name": "2"}]
    assert resolve_categories(numbers, [100, "2"]) == (1, 2)  # 2 is name and id of the same one


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("cup, large", (7,)),
        ("cup, large,kite", (7, 8)),
        ("kite, cup, large", (7, 8)),
        ("kite", (8,)),
        ("kite ,b", (8, 11)),
        ("ku\u0308che", (9,)),
        ("fish", (14,)),
        ('"a,b"', (12,)),
        ('"a","b"', (10, 11)),
        ('"a", "cup, large"', (7, 10)),
        ('5" pipe,b', (11, 13)),
        ("id:7", (7,)),
        ("name:id:7", (15,)),
        ("name:cup, large,b", (7, 11)),
        ("9223372036854775807", (2**63 - 1,)),
        ("b,,a,", (10, 11)),
    ],
)
def test_names_with_commas_blanks_and_other_unicode_forms_can_be_given(
    text: str, ids: tuple[int, ...]
) -> None:
    assert resolve_text(ODD, text) == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b", r"""'a,b' may be split into "a", "b" or "a,b"; put each name in double quotes"""),
        ("cup", "no category is named or numbered 'cup'; there are cup, large"),
        ("cup, small", "no category is named or numbered 'cup'"),
        ("name:7", "no category is named or numbered 'name:7'"),
        ("id:99", "no category is named or numbered 'id:99'"),
        ("\u0663", "no category is named or numbered"),  # an Arabic 3 is not the id 3
        ("9" * 40, "no category is named or numbered"),
    ],
)
def test_what_is_unclear_or_missing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_text(ODD, text)


def test_an_exact_name_comes_before_one_that_is_only_alike() -> None:
    blanks = [{"id": 1, "name": "kite"}, {"id": 2, "name": "kite "}, {"id": 3, "name": " kite"}]
    assert resolve_text(blanks, "kite") == (1,)
    assert resolve_text(blanks, '"kite "') == (2,)
    with pytest.raises(ValueError, match=r"'kite  ' may mean the category 1 .* the category 3"):
        resolve_categories(blanks, ["kite  "])
    assert name_key("kite ") == name_key("kite")


def test_a_partition_and_a_category_of_its_name_are_told_apart() -> None:
    people = [{"id": 1, "name": "person"}, {"id": 2, "name": "kite"}]
    assert resolve_text(people, "person") == (1,)  # both readings mean the same
    every = [{"id": 1, "name": "all"}, {"id": 2, "name": "kite"}]
    with pytest.raises(ValueError, match=r"the partition .say partition:all. or the category 1"):
        resolve_text(every, "all")
    assert resolve_text(every, "partition:all") == (1, 2)
    assert resolve_text(every, "name:all") == (1,)


def test_many_categories_are_not_all_listed() -> None:
    many = [{"id": i, "name": f"n{i}"} for i in range(1203)]
    with pytest.raises(ValueError, match=r"n19 \(19\), … and 1183 more"):
        resolve_categories(many, ["x"])


def test_used_are_the_categories_of_annotations() -> None:
    assert used_categories([{"category_id": 3}, {"category_id": 3}, {"category_id": 5}]) == {3, 5}
