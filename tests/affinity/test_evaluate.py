"""Errors of an affinity map are summed pixel by pixel, inside objects and on their outlines."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ggn.affinity.evaluate import AffinityErrors, affinity_errors

# One object of two columns in an image of six; its inner pixels: none but the frame's column 0.
LABELS = np.array([[1, 1, 0, 0, 0, 0]] * 3, dtype=np.int32)
# Column 0 agrees with all its neighbours, columns 1 and 2 don't, 3 to 5 don't count.
MAP = np.array([[0.8, 0.4, 0.1, 0.9, 0.9, 0.9]] * 3, dtype=np.float32)


def test_by_hand() -> None:
    errors = AffinityErrors()
    errors.add(MAP, LABELS)
    metrics = errors.metrics()
    assert metrics == pytest.approx(
        {
            "inner_cross_entropy": -math.log(0.8),
            "inner_l1": 0.2,
            "inner_pixels": 3,
            "outer_cross_entropy": -(math.log(0.6) + math.log(0.9)) / 2,
            "outer_l1": 0.25,
            "outer_pixels": 6,
        },
        rel=1e-6,
    )


def test_a_perfect_map_has_no_errors() -> None:
    hard = np.array([[1, 0, 0, 1, 0, 1]] * 3, dtype=np.float32)
    for entropy, distance, pixels in affinity_errors(hard, LABELS).values():
        assert (entropy, distance) == (0, 0)
        assert pixels > 0


def test_certainty_that_is_wrong_is_bounded() -> None:
    errors = affinity_errors(1 - np.array([[1, 0, 0, 1, 1, 1]] * 3, dtype=np.float32), LABELS)
    assert errors["inner"][0] == pytest.approx(300)
    assert errors["outer"][0] == pytest.approx(600)


def test_unannotated_background_does_not_count() -> None:
    other = MAP.copy()
    other[:, 3:] = 0.123
    assert affinity_errors(MAP, LABELS) == affinity_errors(other, LABELS)


def test_images_add_up_pixel_by_pixel() -> None:
    both, large = AffinityErrors(), AffinityErrors()
    for part in (MAP[:1], MAP):
        both.add(part, LABELS[: len(part)])
    merged, second = AffinityErrors(), AffinityErrors()
    merged.add(MAP[:1], LABELS[:1])
    second.add(MAP, LABELS)
    merged.merge(second)
    assert merged.metrics() == both.metrics()
    large.add(np.full((8, 8), 0.5, np.float32), np.ones((8, 8), np.int32))
    assert both.metrics()["inner_pixels"] == 4
    assert both.metrics()["inner_l1"] == pytest.approx(0.2)
    assert large.metrics() == {
        "inner_cross_entropy": pytest.approx(math.log(2)),
        "inner_l1": 0.5,
        "inner_pixels": 64,
        "outer_pixels": 0,  # no mean over nothing
    }


def test_no_image_and_no_object() -> None:
    errors = AffinityErrors()
    assert errors.metrics() == {"inner_pixels": 0, "outer_pixels": 0}
    errors.add(MAP, np.zeros_like(LABELS))
    assert errors.metrics() == {"inner_pixels": 0, "outer_pixels": 0}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_equals_a_plain_mean(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (9, 7)).repeat(3, 0).repeat(3, 1).astype(np.int32)
    predicted = random.random(labels.shape, dtype=np.float32)
    values = {"inner": [], "outer": []}
    padded = np.pad(labels, 1, constant_values=-1)
    for y, x in np.ndindex(labels.shape):
        around = padded[y : y + 3, x : x + 3]
        if around.max() > 0:
            same = (around[around >= 0] == labels[y, x]).all()
            values["inner" if same else "outer"].append(abs(same - predicted[y, x]))
    for name, (_, distance, pixels) in affinity_errors(predicted, labels).items():
        assert pixels == len(values[name])
        assert distance == pytest.approx(sum(values[name]), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 6), (6, 3)])
def test_refuses_a_map_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"affinity and labels must be \(H, W\), got \("):
        affinity_errors(torch.zeros(shape).numpy(), LABELS)
