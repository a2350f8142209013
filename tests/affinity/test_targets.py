"""The target of a pixel is the share of its neighbours that have its label."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from ggn.affinity.offsets import NEIGHBOUR_OFFSETS
from ggn.affinity.targets import PADDING_LABEL, affinity_targets
from ggn.core.masks import encode
from ggn.data.samples import instance_map


def targets_of(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    target, weight = affinity_targets(torch.tensor([rows], dtype=torch.int32))
    return target[0, 0], weight[0, 0]


def test_two_instances_by_hand() -> None:
    target, weight = targets_of([[1, 1, 2], [1, 1, 2], [1, 1, 2]])
    # Corners have 3 neighbours, sides 5, the middle 8.
    expected = [[1, 3 / 5, 1 / 3], [1, 5 / 8, 2 / 5], [1, 3 / 5, 1 / 3]]
    torch.testing.assert_close(target, torch.tensor(expected))
    assert weight.eq(1).all()


def test_background_is_a_label_too_but_counts_only_beside_an_object() -> None:
    target, weight = targets_of([[3, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert target[0].tolist() == pytest.approx([0, 4 / 5, 1, 1])
    assert weight.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_the_image_frame_is_no_edge() -> None:
    target, weight = targets_of([[7] * 4] * 3)
    assert target.eq(1).all()
    assert weight.eq(1).all()


def test_an_image_of_one_pixel_has_no_edge() -> None:
    assert [x.item() for x in targets_of([[5]])] == [1, 1]
    assert [x.item() for x in targets_of([[0]])] == [1, 0]


def test_objects_of_one_pixel_count_and_so_does_a_single_neighbour() -> None:
    target, weight = targets_of([[1, 0], [0, 0]])
    assert target.tolist() == [[0, pytest.approx(2 / 3)], [pytest.approx(2 / 3)] * 2]
    assert weight.tolist() == [[1, 1], [1, 1]]
    assert targets_of([[1, 2]])[0].tolist() == [[0, 0]]
    assert targets_of([[1, 1]])[0].tolist() == [[1, 1]]


def test_padding_is_neither_an_edge_nor_counted() -> None:
    rows = [[1, 1, 2], [1, 0, 2]]
    target, weight = targets_of(rows)
    padded_target, padded_weight = targets_of(
        [[*row, PADDING_LABEL, PADDING_LABEL] for row in rows] + [[PADDING_LABEL] * 5] * 2
    )
    assert torch.equal(padded_target[:2, :3], target)
    assert torch.equal(padded_weight[:2, :3], weight)
    assert padded_weight.sum() == weight.sum() == 6


def test_an_image_does_not_look_into_the_next_one() -> None:
    labels = torch.tensor([[[1, 1], [1, 1]], [[2, 2], [2, 2]]], dtype=torch.int32)
    assert affinity_targets(labels)[0].eq(1).all()


@pytest.mark.parametrize("count", [127, 128, 255, 256, 300])
def test_any_number_of_instances_keeps_its_edges(count: int) -> None:
    # One instance per column of 3 rows: int8 labels would meet themselves again after 127 or 256.
    bitmaps = np.zeros((count, 3, count), dtype=bool)
    bitmaps[np.arange(count), :, np.arange(count)] = True
    labels = torch.from_numpy(instance_map(encode(bitmaps), (3, count)))
    target, weight = affinity_targets(labels[None])
    inner = target[0, 0, 1, 1:-1]
    assert torch.equal(inner, torch.full((count - 2,), 2 / 8))  # above and below are its own
    assert weight.eq(1).all()


def test_three_hundred_instances_in_one_image_with_overlaps() -> None:
    random = np.random.default_rng(0)
    bitmaps = np.zeros((300, 64, 64), dtype=bool)
    for bitmap in bitmaps:
        y, x = random.integers(0, 60, 2)
        bitmap[y : y + random.integers(1, 12), x : x + random.integers(1, 12)] = True
    labels = instance_map(encode(bitmaps), (64, 64))
    assert labels.max() > 127
    target, weight = affinity_targets(torch.from_numpy(labels)[None])
    slow_target, slow_weight = slow_targets(labels)
    assert np.array_equal(target[0, 0].numpy(), slow_target.astype(np.float32))
    assert np.array_equal(weight[0, 0].numpy(), slow_weight)


def test_overlapping_masks_do_not_merge_with_a_third() -> None:
    # Masks 1 and 2 overlap beside mask 3: summed labels would read 1 + 2 = 3.
    bitmaps = np.zeros((3, 3, 6), dtype=bool)
    bitmaps[0, :, 0:3] = bitmaps[1, :, 2:4] = bitmaps[2, :, 4:6] = True
    labels = instance_map(encode(bitmaps), (3, 6))
    assert labels[1].tolist() == [1, 1, 2, 2, 3, 3]
    target, _ = affinity_targets(torch.from_numpy(labels)[None])
    assert target[0, 0, 1].tolist() == pytest.approx([1, 5 / 8, 5 / 8, 5 / 8, 5 / 8, 1])


def test_targets_are_made_where_the_labels_are() -> None:
    # On the meta device nothing can be computed on the CPU on the way.
    labels = torch.zeros(2, 8, 6, dtype=torch.int32, device="meta")
    for result in affinity_targets(labels):
        assert result.device.type == "meta"
        assert (result.shape, result.dtype) == ((2, 1, 8, 6), torch.float32)


@pytest.mark.parametrize(
    "labels", [torch.zeros(2, 2, dtype=torch.int32), torch.zeros(1, 2, 2), torch.zeros(1, 1, 2, 2)]
)
def test_refuses_what_is_no_label_map(labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"labels must be integer \(B, H, W\), got torch\."):
        affinity_targets(labels)


def slow_targets(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The definition, pixel by pixel."""
    height, width = labels.shape
    target, weight = np.ones((height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            around = [
                labels[y + dy, x + dx]
                for dy, dx in NEIGHBOUR_OFFSETS
                if 0 <= y + dy < height and 0 <= x + dx < width and labels[y + dy, x + dx] >= 0
            ]
            if around:
                target[y, x] = np.mean([label == labels[y, x] for label in around])
            weight[y, x] = labels[y, x] >= 0 and max(labels[y, x], *around, 0) > 0
    return target, weight


LABELS = arrays(
    np.int32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)
)


@settings(deadline=None, max_examples=60)
@given(LABELS)
def test_equals_the_definition(labels: NDArray[np.int32]) -> None:
    target, weight = affinity_targets(torch.from_numpy(labels)[None])
    slow_target, slow_weight = slow_targets(labels)
    np.testing.assert_allclose(target[0, 0], slow_target, rtol=1e-6)
    np.testing.assert_array_equal(weight[0, 0], slow_weight)


@settings(deadline=None, max_examples=40)
@given(LABELS, st.integers(1, 1000))
def test_mirrored_and_renamed_labels_give_mirrored_targets(
    labels: NDArray[np.int32], offset: int
) -> None:
    renamed = np.where(labels > 0, labels * 7 + offset, 0)
    mirrored = torch.from_numpy(renamed[:, ::-1].copy())[None]
    for ours, other in zip(
        affinity_targets(torch.from_numpy(labels)[None]), affinity_targets(mirrored), strict=True
    ):
        assert torch.equal(ours.flip(-1), other)


# --- against the reference's numbers: golden, section D ---
# It counts a neighbour outside the image as different, we leave it out: equal off the frame.
# It adds the labels of overlapping masks (layout 3), we paint the smaller one on top: equal where
# no mask overlaps another, nor any neighbour does. Its int8 labels wrap after 127 instances.


@pytest.fixture
def golden(recorded_file: Callable[[str], Path]) -> dict[str, NDArray[Any]]:
    return dict(np.load(recorded_file("D_pa_targets.npz")))


def painted(masks: NDArray[Any]) -> NDArray[np.int32]:
    return instance_map(encode(masks) if len(masks) else [], masks.shape[1:])


def off_frame(size_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    inside = np.zeros(size_hw, dtype=bool)
    inside[1:-1, 1:-1] = True
    return inside


@pytest.mark.parametrize("layout", range(5))
def test_equals_the_reference_off_the_frame_and_off_overlaps(
    golden: dict[str, NDArray[Any]], layout: int
) -> None:
    masks = golden[f"{layout}_masks"]
    target, weight = affinity_targets(torch.from_numpy(painted(masks))[None])
    overlapping = np.pad(masks.sum(0) > 1, 1)
    near_overlap = np.zeros(masks.shape[1:], dtype=bool)
    for dy, dx in [(0, 0), *NEIGHBOUR_OFFSETS]:
        near_overlap |= overlapping[1 + dy :, 1 + dx :][: masks.shape[1], : masks.shape[2]]
    agree = off_frame(masks.shape[1:]) & ~near_overlap
    assert agree.sum() > 0.5 * agree.size
    soft = golden[f"{layout}_soft"][0]
    np.testing.assert_array_equal(target[0, 0].numpy()[agree], soft[agree])
    # Where a pixel counts is the same everywhere, at the frame and in overlaps too.
    np.testing.assert_array_equal(weight[0, 0] > 0, golden[f"{layout}_filter_used"][0])


@pytest.mark.parametrize("layout", [0, 1, 2, 4])
def test_at_the_frame_the_mean_is_over_fewer_neighbours(
    golden: dict[str, NDArray[Any]], layout: int
) -> None:
    labels = painted(golden[f"{layout}_masks"])
    target, _ = affinity_targets(torch.from_numpy(labels)[None])
    inside = np.zeros_like(labels, dtype=float)
    padded = np.pad(np.ones_like(labels), 1)
    for dy, dx in NEIGHBOUR_OFFSETS:
        inside += padded[1 + dy :, 1 + dx :][: labels.shape[0], : labels.shape[1]]
    assert set(np.unique(inside)) == {3, 5, 8}
    # The reference divides by 8 always; the number of agreeing neighbours is the same.
    np.testing.assert_allclose(
        target[0, 0].numpy() * inside, golden[f"{layout}_soft"][0] * 8, rtol=1e-6
    )


def test_where_masks_overlap_we_see_one_of_them(golden: dict[str, NDArray[Any]]) -> None:
    masks, palette = golden["3_masks"], golden["3_palette"]
    overlap = masks.sum(0) > 1
    assert set(palette[overlap]) == {3}  # 1 + 2, the label of the third mask
    # Masks 1 and 2 are of equal size: then the later one is on top.
    assert masks.sum((1, 2)).tolist()[:2] == [masks[0].sum()] * 2
    assert set(painted(masks)[overlap]) == {2}


def test_the_fixture_is_what_this_file_says(recorded_file: Callable[[str], Path]) -> None:
    facts = json.loads((recorded_file("D_pa_targets.json")).read_text())
    assert facts["4"]["soft_values"] == [3 / 8, 5 / 8, 1]  # a uniform image: its frame is an edge
