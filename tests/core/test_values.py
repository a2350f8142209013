"""What a value may be: strictly, a value of JSON that we train on; leniently, NumPy's too."""

import numpy as np
import pytest

from ggn.core.values import (
    MAX_ID,
    is_finite,
    is_id,
    is_integer,
    is_lenient_finite,
    is_lenient_id,
    is_lenient_integer,
    is_size,
)


@pytest.mark.parametrize(
    ("value", "strict", "lenient"),
    [
        (0, True, True),
        (MAX_ID, True, True),
        (MAX_ID + 1, False, False),
        (-1, False, True),
        (-MAX_ID, False, True),
        (-MAX_ID - 1, False, False),
        (np.int64(7), False, True),
        (7.0, False, False),
        (True, False, False),
        ("7", False, False),
        (None, False, False),
    ],
)
def test_ids(value: object, strict: bool, lenient: bool) -> None:
    assert is_id(value) is strict
    assert bool(is_lenient_id(value)) is lenient


def test_an_integer_has_no_limits() -> None:
    assert is_integer(-(MAX_ID**2))
    assert is_lenient_integer(-(MAX_ID**2))
    assert not is_integer(np.int8(1))
    assert not is_lenient_integer(True)


@pytest.mark.parametrize(
    ("value", "strict", "lenient"),
    [
        (0.5, True, True),
        (-3, True, True),
        (np.float32(0.5), False, True),
        (np.int16(3), False, True),
        (float("nan"), False, False),
        (float("inf"), False, False),
        (np.float64("nan"), False, False),
        (True, False, False),
        ("0.5", False, False),
    ],
)
def test_finite_numbers(value: object, strict: bool, lenient: bool) -> None:
    assert is_finite(value) is strict
    assert bool(is_lenient_finite(value)) is lenient


def test_a_size_is_a_list_of_two_positive_integers() -> None:
    assert is_size([1, 20])
    for wrong in ([0, 20], [1, -1], [1.0, 2], [True, 2], [1], [1, 2, 3], (1, 2), None):
        assert not is_size(wrong)
