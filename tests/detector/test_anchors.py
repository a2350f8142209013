"""Anchors lie on a grid per level of the pyramid, as in the reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ggn.detector.anchors import (
    STRIDES,
    inside_image,
    inside_padded_image,
    level_anchors,
    padded_size,
    pyramid_anchors,
)


def test_sides_are_padded_to_multiples_of_32() -> None:
    assert padded_size((1, 32)) == (32, 32)
    assert padded_size((33, 64)) == (64, 64)
    assert padded_size((214, 310)) == (224, 320)


def test_the_first_anchor_is_centred_on_the_corner_of_the_image() -> None:
    anchors = level_anchors((2, 2), stride=4, scale=8)
    assert anchors.tolist() == [
        [-16, -16, 16, 16],
        [-12, -16, 20, 16],  # one cell to the right
        [-16, -12, 16, 20],  # one row down
        [-12, -12, 20, 20],
    ]


def test_levels_follow_each_other_finest_first() -> None:
    anchors = pyramid_anchors([(1, 1)] * 5, scale=2)
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [8, 16, 32, 64, 128]


def test_a_pyramid_of_another_height_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        pyramid_anchors([(1, 1)] * 4, scale=8)


def test_cells_beyond_a_smaller_image_of_the_batch_are_outside() -> None:
    sizes = [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]  # a frame of 64×64
    inside = inside_padded_image(sizes, (64, 32), torch.device("cpu"))
    assert inside.dtype == torch.bool
    levels = inside.split([h * w for h, w in sizes])
    assert [int(level.sum()) for level in levels] == [16 * 8, 8 * 4, 4 * 2, 2 * 1, 1]
    assert levels[1].reshape(8, 8)[:, :4].all()
    assert not levels[1].reshape(8, 8)[:, 4:].any()


def test_anchors_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    sizes = [(56, 80), (28, 40), (14, 20), (7, 10), (4, 5)]
    for level, (size, stride) in enumerate(zip(sizes, STRIDES, strict=True)):
        ours = level_anchors(size, stride, scale=8).numpy()
        assert np.array_equal(ours, golden[f"anchors_{level}"])
    for name, padded in (("valid_flags", (224, 320)), ("valid_flags_pad200x300", (200, 300))):
        inside = inside_padded_image(sizes, padded, torch.device("cpu"))
        assert np.array_equal(inside.numpy(), golden[name])


def test_anchors_on_the_frame_are_not_inside() -> None:
    anchors = torch.tensor([[0.0, 0, 8, 8], [-1, 0, 7, 8], [2, 2, 10, 8], [1, 12, 9, 20]])
    assert inside_image(anchors, (20, 10)).tolist() == [True, False, False, False]


def test_anchors_inside_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    anchors = np.concatenate([golden[f"anchors_{level}"] for level in range(5)])
    inside = inside_image(torch.tensor(anchors), (214, 310))
    assert np.array_equal(inside, golden["inside_border0"])
