"""What a single value of a record may be, each said once.

Strict is what we train on: values of JSON. Lenient is anybody's results: also NumPy's numbers.
"""

import math
import reprlib
from typing import Any, Final, TypeGuard

import numpy as np

MAX_ID: Final = 2**63 - 1
"""Ids are 64-bit integers wherever they are stored as a column."""
ID_ALLOWED: Final = f"an integer from 0 to {MAX_ID}"
LENIENT_ID_ALLOWED: Final = f"an integer from {-MAX_ID} to {MAX_ID}"

short = reprlib.repr
"""A value as messages show it."""


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer, strictly."""
    return type(value) is int


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a value is `ID_ALLOWED`, strictly."""
    return is_integer(value) and 0 <= value <= MAX_ID


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number, strictly."""
    return type(value) in (int, float) and math.isfinite(value)


def is_size(value: Any) -> TypeGuard[list[int]]:
    """Whether a value is [height, width] of an image, strictly."""
    return isinstance(value, list) and len(value) == 2 and all(is_side(side) for side in value)


def is_side(value: Any) -> TypeGuard[int]:
    """Whether a value is a height or a width of an image, strictly."""
    return is_integer(value) and value >= 1


def is_lenient_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer, of Python or NumPy."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_lenient_id(value: Any) -> TypeGuard[int]:
    """Whether a value is `LENIENT_ID_ALLOWED`."""
    return is_lenient_integer(value) and -MAX_ID <= value <= MAX_ID


def is_lenient_finite(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number, of Python or NumPy."""
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        return False
    return math.isfinite(value)
