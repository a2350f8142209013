"""The checked map and the region adjacency graph."""

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, find_arcs, fixed_affinity


def test_affinities_become_integers_and_eighths_are_exact() -> None:
    fixed = fixed_affinity(np.array([[0, 1, 0.5, 7 / 8, 1e-6]]))
    assert fixed.dtype == np.int16
    assert fixed.tolist() == [[0, UNIT, UNIT // 2, 7 * UNIT // 8, 0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_type_and_memory_order_is_taken(dtype: type[np.floating[Any]]) -> None:
    eighths = (np.arange(48).reshape(6, 8) % 9 / 8).astype(dtype)
    expected = fixed_affinity(eighths.astype(np.float32))
    for same in (eighths, np.asfortranarray(eighths), np.repeat(eighths, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(fixed_affinity(same), expected)
    np.testing.assert_array_equal(fixed_affinity(eighths[::-1, ::-1]), expected[::-1, ::-1])
    assert not np.shares_memory(fixed_affinity(eighths), eighths)


def test_a_read_only_map_is_taken() -> None:
    affinity = np.full((2, 3), 0.5, np.float32)
    affinity.flags.writeable = False
    assert (fixed_affinity(affinity) == UNIT // 2).all()


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        (np.zeros((3, 4, 5)), "affinity must be (H, W) with H, W > 0, got (3, 4, 5)"),
        (np.zeros(7), "got (7,)"),
        (np.float32(1), "got ()"),
        (np.zeros((0, 640)), "got (0, 640)"),
        (np.zeros((480, 0)), "got (480, 0)"),
        (np.zeros((2, 2), np.uint8), "must be float16, float32 or float64, got uint8"),
        (np.zeros((2, 2), bool), "got bool"),
        (np.zeros((2, 2), complex), "got complex128"),
        (np.array([["a"]]), "got <U1"),
        (
            np.broadcast_to(np.float32(0), (50_000, 50_000)),
            "at most 2^31 - 1 pixels, frame included",
        ),
    ],
)
def test_a_map_of_another_shape_or_type_is_refused(affinity: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        fixed_affinity(affinity)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.25, 1.5])
def test_the_first_bad_pixel_is_named(dtype: type[np.floating[Any]], value: float) -> None:
    affinity = np.ones((5, 7), dtype)
    affinity[2, 3] = affinity[4, 0] = value
    message = f"affinity must be finite and in [0, 1], got {value} at row 2, column 3"
    with pytest.raises(ValueError, match=re.escape(message)):
        fixed_affinity(affinity)


LABELS = np.array(
    [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [2, 2, 2, 2, 2],
        [2, 2, 2, 2, 2],
    ],
    np.int32,
)


def test_arcs_of_three_regions_counted_by_hand() -> None:
    affinity = np.full((5, 5), 10, np.int16)
    affinity[1, 2] = 4  # touches region 1 by one crack
    ends, length, strength, sides = _kernels.find_arcs(affinity, LABELS, np.zeros((5, 5), np.int32))
    assert ends.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert length.tolist() == [3, 3, 2]
    # No ridge in the (blank) smoothed map, so each crack counts in full: UNIT - the smaller value.
    assert strength.tolist() == [3 * UNIT - 10 - 4 - 10, 3 * (UNIT - 10), 2 * (UNIT - 10)]
    assert sides.tolist() == [6 * 10 - 6, 6 * 10, 4 * 10]


def test_an_arc_along_the_ridge_keeps_its_strength_and_one_across_it_loses_it() -> None:
    y, x = np.indices((9, 9)).astype(np.int32)

    def share(labels: NDArray[Any], smooth: NDArray[np.int32]) -> float:
        blank = np.zeros(labels.shape, np.int16)
        _, length, strength, _ = _kernels.find_arcs(blank, labels.astype(np.int32), smooth)
        return float(strength[0] / length[0] / UNIT)

    # A smoothed affinity of x^2 is a valley along y, so its normal is x, as that of {x > 4}.
    assert share(x > 4, (x - 4) ** 2) == 1
    assert share(y > 4, (y - 4) ** 2) == 1
    # Its 7 inner columns say that {y > 4} crosses it; in the 2 on the frame, whose pixels are
    # repeated outward, x^2 curves down and nothing contradicts.
    assert share(y > 4, (x - 4) ** 2) == pytest.approx(2 / 9)
    assert share(x > y, (x - y) ** 2) == pytest.approx(1, abs=0.02)
    assert share(x > y, (x + y - 8) ** 2) < 0.3
    assert share(x > y, 16 * x**2) == pytest.approx(math.sqrt(0.5), abs=0.1)


def test_a_watershed_line_that_crosses_a_ridge_does_not_borrow_its_strength() -> None:
    """A vertical boundary; two regions on its left are parted by a line that ends on it."""
    affinity = np.ones((24, 24), np.float32)
    affinity[:, 11:13] = 0.2
    labels = np.zeros((24, 24), np.int32)
    labels[12:, :] = 1
    labels[:, 12:] = 2
    arcs = find_arcs(fixed_affinity(affinity), labels)
    means = dict(
        zip(map(tuple, arcs.ends.tolist()), arcs.strength / arcs.length / UNIT, strict=True)
    )
    assert means[0, 2] == pytest.approx(0.8, abs=0.03)
    assert means[1, 2] == pytest.approx(0.8, abs=0.03)
    assert means[0, 1] < 0.01  # its last crack lies on the ridge and would add 0.8 / 12
