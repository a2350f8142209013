"""Boxes are coded as deltas or as distances to their sides, and decoding undoes it."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ggn.detector.coders import (
    MAX_LOG_RATIO,
    clip_boxes,
    decode_deltas,
    decode_sides,
    encode_deltas,
)

UNIT = (1.0, 1.0, 1.0, 1.0)
STDS = (0.1, 0.1, 0.2, 0.2)


def boxes(*rows: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def test_deltas_by_hand() -> None:
    reference, box = boxes((0, 0, 10, 20)), boxes((5, 0, 15, 40))
    # centre (5, 10) to (10, 20): half a width, half a height; same width, twice the height
    assert encode_deltas(reference, box, UNIT).tolist()[0] == pytest.approx(
        [0.5, 0.5, 0, math.log(2)]
    )
    assert encode_deltas(reference, box, STDS).tolist()[0] == pytest.approx(
        [5, 5, 0, math.log(2) / 0.2]
    )


def test_sizes_change_at_most_by_the_clamp_in_both_directions() -> None:
    reference = boxes((0, 0, 16, 16), (0, 0, 1000, 1000))
    huge, tiny = decode_deltas(reference, boxes((0, 0, 99, 99), (0, 0, -99, -99)), UNIT)
    assert (huge[2] - huge[0]).item() == pytest.approx(1000)
    assert (tiny[2] - tiny[0]).item() == pytest.approx(16)
    assert pytest.approx(4.135166556742356) == MAX_LOG_RATIO


def test_sides_by_hand() -> None:
    reference = boxes((0, 0, 10, 20), (0, 0, 10, 20))  # centre (5, 10)
    # top, bottom in heights, left, right in widths; the second's left side passes the right one
    distances = boxes((0.5, 1, 0, 0.2), (0.5, 0.5, -0.5, 0.25))
    expected = [[5, 0, 7, 30], [10, 0, 7.5, 20]]
    assert decode_sides(reference, distances).tolist() == expected


def test_boxes_of_several_images_are_coded_at_once() -> None:
    """Axes before the last one stay as they are."""
    references = boxes((0, 0, 10, 20), (5, 5, 9, 11), (0, 0, 2, 2))
    others = boxes((5, 0, 15, 40), (4, 4, 8, 10), (1, 1, 4, 5))
    several = torch.stack([references, others]), torch.stack([others, references])
    for code in (
        lambda a, b: encode_deltas(a, b, STDS),
        lambda a, b: decode_deltas(a, b / 100, STDS),
        decode_sides,
    ):
        both = code(*several)
        assert torch.equal(both[0], code(references, others))
        assert torch.equal(both[1], code(others, references))


def test_clipped_boxes_keep_their_type() -> None:
    clipped = clip_boxes(boxes((0, 0, 9, 9)), torch.tensor([4, 5], dtype=torch.float64))
    assert (clipped.tolist(), clipped.dtype) == ([[0, 0, 5, 4]], torch.float32)


def test_boxes_are_clipped_each_to_its_own_image() -> None:
    box = boxes((-5, -5, 100, 100))
    clipped = clip_boxes(torch.stack([box, box]), torch.tensor([[20, 30], [40, 50]]))
    assert clipped.tolist() == [[[0, 0, 30, 20]], [[0, 0, 50, 40]]]


SIDES = st.floats(1, 300, width=32)
PLACES = st.floats(-200, 800, width=32)
BOX = st.tuples(PLACES, PLACES, SIDES, SIDES)


@settings(deadline=None, max_examples=100)
@given(reference=BOX, box=BOX)
def test_decoding_undoes_encoding(reference: tuple[float, ...], box: tuple[float, ...]) -> None:
    (a, b) = (torch.tensor([[x, y, x + w, y + h]]) for x, y, w, h in (reference, box))
    ratio = torch.log((b[:, 2:] - b[:, :2]) / (a[:, 2:] - a[:, :2]))
    decoded = decode_deltas(a, encode_deltas(a, b, STDS), STDS)
    if float(ratio.abs().max()) < MAX_LOG_RATIO:
        assert torch.allclose(decoded, b, atol=0.01, rtol=1e-4)


@pytest.mark.parametrize(("name", "stds"), [("xywh1", UNIT), ("xywh2", STDS)])
def test_deltas_equal_the_reference(
    recorded_file: Callable[[str], Path], name: str, stds: tuple[float, ...]
) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    proposals, deltas = (torch.tensor(golden[k]) for k in ("proposals", "coder_raw_deltas"))
    objects = torch.tensor(golden["gt_boxes"][golden["coder_gt_index"]])
    encoded = encode_deltas(proposals, objects, stds)
    assert np.allclose(encoded, golden[f"{name}_encode"], atol=2e-5, rtol=1e-5)
    decoded = decode_deltas(proposals, deltas, stds)
    assert np.allclose(decoded, golden[f"{name}_decode_raw_noclip"], atol=2e-3, rtol=1e-5)
    clipped = clip_boxes(decoded, torch.tensor((214, 310)))
    assert np.allclose(clipped, golden[f"{name}_decode_raw_clip"], atol=1e-4)
    undone = clip_boxes(decode_deltas(proposals, encoded, stds), torch.tensor((214, 310)))
    assert np.allclose(undone, golden[f"{name}_decode_of_encode"], atol=1e-3)


def test_sides_equal_the_reference(recorded_file: Callable[[str], Path]) -> None:
    golden = np.load(recorded_file("C_targets.npz"))
    proposals = torch.tensor(golden["proposals"])
    size = torch.tensor((214, 310))
    decoded = decode_sides(proposals, torch.tensor(golden["coder_raw_deltas"]))
    assert np.allclose(decoded, golden["tblr_decode_raw_noclip"], atol=1e-3, rtol=1e-5)
    assert np.allclose(clip_boxes(decoded, size), golden["tblr_decode_raw_clip"], atol=1e-4)
    undone = clip_boxes(decode_sides(proposals, torch.tensor(golden["tblr_encode"])), size)
    assert np.allclose(undone, golden["tblr_decode_of_encode"], atol=1e-3)
