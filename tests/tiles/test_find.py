"""Objects on seams come out whole: tiles of a map of labels, looked at by a perfect eye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.core.masks import encode, mask_iou
from ggn.core.windows import Window
from ggn.tiles import count_tiles, find_in_tiles, plan_tiles, reduced
from ggn.tiles.pieces import Whole, enlarged_run_lengths

SIDE, OVERLAP = 32, 12
Labels = NDArray[np.int64]
Find = Callable[[Sequence[NDArray[Any]]], list[Instances]]


def eye(sees: Callable[[NDArray[np.bool_]], bool] = lambda _: True) -> Find:
    """Finds the part of each label in a tile; its score is a hundredth of the label."""

    def find(tiles: Sequence[NDArray[Any]]) -> list[Instances]:
        found = []
        for tile in tiles:
            labels = [k for k in np.unique(tile).tolist() if k and sees(tile == k)]
            bitmaps = np.array([tile == k for k in labels], bool).reshape(-1, *tile.shape)
            found.append(Instances.from_bitmaps(bitmaps, np.array(labels) / 100))
        return found

    return find


def levels_of(labels: Labels) -> list[Labels]:
    levels = [labels]
    while max(levels[-1].shape) > SIDE:
        levels.append(levels[-1][::2, ::2])
    return levels


def tiled(labels: Labels, find: Find, together: int = 1) -> Instances:
    return find_in_tiles(levels_of(labels), find, SIDE, OVERLAP, together=together)


def whole(labels: Labels) -> Instances:
    """What the eye sees in the image as a whole, best first."""
    (found,) = eye()([labels])
    return found[np.argsort(-found.scores)]


def same(found: Instances, wanted: Instances) -> bool:
    return found.masks == wanted.masks and found.scores.tolist() == wanted.scores.tolist()


def test_objects_on_seams_are_whole_and_counted_once() -> None:
    """On a vertical seam, on a crossing of seams, two that touch in an overlap, one in a corner."""
    labels = np.zeros((72, 72), int)
    assert [tile.left for tile in plan_tiles((72, 72), SIDE, OVERLAP)[:3]] == [0, 20, 40]
    labels[4:10, 24:34] = 1
    labels[22:30, 20:31] = 2
    labels[45:52, 21:26] = 3
    labels[45:52, 26:31] = 4
    labels[66:, 66:] = 5
    assert same(tiled(labels, eye()), whole(labels))


def test_an_object_of_many_tiles_is_put_together_of_its_pieces() -> None:
    labels = np.zeros((100, 130), int)
    labels[10:90, 5:125] = 7
    labels[40:60, 40:60] = 3  # lies in it
    assert same(tiled(labels, eye()), whole(labels))


def test_an_object_of_many_tiles_is_found_whole_where_its_pieces_are_not_recognised() -> None:
    """The eye takes what fills half of a full tile for background: corners remain, and are cut."""
    labels = np.zeros((96, 96), int)
    labels[10:88, 10:88] = 7
    labels[40:48, 40:48] = 3  # lies in it
    found = tiled(labels, eye(lambda part: part.mean() < 0.5 or len(part) < SIDE))
    wanted = whole(labels)
    assert len(found) == 2
    overlap = mask_iou(found.masks, wanted.masks)
    assert overlap[0, 0] > 0.9  # found at a quarter of the size
    assert found.masks[1] == wanted.masks[1]  # found at full size


def ends(part: NDArray[np.bool_]) -> bool:
    return not (part[:, 0].any() and part[:, -1].any())


def bar() -> Labels:
    labels = np.zeros((40, 160), int)
    labels[8:24, 4:156] = 9
    return labels


def test_pieces_that_are_cut_off_give_way_to_the_object_they_are_of() -> None:
    """The eye sees a bar only where it does not go through its tile from edge to edge."""
    found = tiled(bar(), eye(ends))
    assert len(found) == 1
    assert mask_iou(found.masks, whole(bar()).masks)[0, 0] > 0.8
    assert found.scores.tolist() == pytest.approx([0.09])


def test_a_piece_that_is_cut_off_stays_where_nothing_covers_it() -> None:
    found = find_in_tiles([bar()], eye(ends), SIDE, OVERLAP)  # without a coarser look
    assert len(found) == 2
    assert sorted(found.boxes_xyxy[:, 0].tolist()) == [4, 128]


@given(st.integers(40, 110), st.integers(40, 110), st.integers(0, 2**32 - 1), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_objects_that_fit_into_the_overlap_are_exact(
    height: int, width: int, seed: int, together: int
) -> None:
    """Rectangles anywhere, on top of each other, of which the visible part may be anything."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), int)
    for label in range(1, 40):
        top, left = rng.integers(0, height), rng.integers(0, width)
        high, wide = rng.integers(1, OVERLAP + 1, 2)
        labels[top : top + high, left : left + wide] = label
    found, wanted = tiled(labels, eye(), together), whole(labels)
    assert found.scores.tolist() == wanted.scores.tolist()
    assert found.masks == wanted.masks


def test_an_image_of_one_tile_is_what_is_found_in_it() -> None:
    labels = np.zeros((20, 30), int)
    labels[3:9, 4:11] = 1
    assert same(tiled(labels, eye()), whole(labels))
    assert len(tiled(np.zeros((90, 90), int), eye())) == 0


def test_progress_counts_every_tile() -> None:
    labels, done = np.zeros((72, 100), int), list[int]()
    find_in_tiles(levels_of(labels), eye(), SIDE, OVERLAP, together=4, advance=done.append)
    assert sum(done) == count_tiles((72, 100), SIDE, OVERLAP)
    assert max(done) <= 4


@given(st.integers(0, 2), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_masks_of_a_level_are_enlarged_pixel_by_pixel(
    level: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    factor = 1 << level
    small = rng.random((-(-height // factor), -(-width // factor))) < 0.6
    small[0, 0] = True
    enlarged = np.kron(small, np.ones((factor, factor), bool))[:height, :width]
    it = Whole.of(level, Window(0, 0, small), 0.5, False)
    assert it.mask((height, width)) == encode(enlarged[None])[0]
    assert sum(enlarged_run_lengths(Window(0, 0, small), factor, (height, width))) == height * width
    back = Whole.of(0, Window(0, 0, enlarged), 0.5, False).at_level(level)
    inner = small[: back.bitmap.shape[0], : back.bitmap.shape[1]]
    assert (back.bitmap == inner).all()


def test_instances_are_drawn_at_a_level() -> None:
    labels = np.zeros((9, 14), int)
    labels[4:9, 6:14] = 1
    found = reduced(whole(labels), 1)
    assert found.image_size_hw == (5, 7)
    expected = np.zeros((5, 7), int)
    expected[2:4, 3:7] = 1  # the middle of the last pixel down lies beyond the image
    assert found.bitmaps()[0].tolist() == expected.tolist()
