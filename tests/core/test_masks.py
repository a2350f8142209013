"""Masks: examples on a 6 x 8 image, then inverse pairs, then pycocotools and slow twins."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ggn.core.masks import (
    area_and_box,
    areas,
    boxes_xywh,
    boxes_xyxy,
    decode,
    encode,
    from_runs,
    from_segmentation,
    mask_iou,
    resize,
    union,
)

SIZE = (6, 8)


def rectangle(top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
    """The 6 x 8 bitmap of rows top..bottom - 1 and columns left..right - 1."""
    bitmap = np.zeros(SIZE, dtype=bool)
    bitmap[top:bottom, left:right] = True
    return bitmap


bitmaps_strategy = st.builds(
    lambda n, h, w, seed: np.random.default_rng(seed).random((n, h, w)) < 0.4,
    st.integers(0, 4),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)


def test_encode_writes_column_major_runs_as_text() -> None:
    assert encode(rectangle(1, 1, 3, 4)[None]) == [{"size": [6, 8], "counts": "724000g0"}]


def test_every_value_but_0_is_inside() -> None:
    labels = np.zeros((1, *SIZE), dtype=np.uint8)
    labels[0, 1:3, 1:3] = 7
    labels[0, 1:3, 3] = 255
    assert encode(labels) == encode(rectangle(1, 1, 3, 4)[None])


@pytest.mark.parametrize(
    ("bitmaps", "message"),
    [
        (np.zeros(SIZE, bool), r"bitmaps must be bool or integer \(N, H, W\), got bool \(6, 8\)"),
        (np.zeros((1, 2, 2), np.float32), r"got float32 \(1, 2, 2\)"),
    ],
)
def test_encode_refuses(bitmaps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(bitmaps)


def test_decode_refuses_another_size() -> None:
    masks = encode(np.zeros((2, *SIZE), bool))
    with pytest.raises(ValueError, match=r"mask 0 must have the size .* = \(8, 6\), got \(6, 8\)"):
        decode(masks, (8, 6))


@settings(deadline=None, max_examples=60)
@given(bitmaps_strategy)
def test_decode_inverts_encode(bitmaps: NDArray[np.bool_]) -> None:
    decoded = decode(encode(bitmaps), bitmaps.shape[1:])
    assert decoded.shape == bitmaps.shape
    assert decoded.dtype == np.uint8
    assert (decoded == bitmaps).all()


def test_areas_and_boxes() -> None:
    masks = encode(np.stack([rectangle(1, 1, 3, 4), rectangle(0, 0, 6, 8), rectangle(5, 7, 6, 8)]))
    assert areas(masks).tolist() == [6, 48, 1]
    assert boxes_xyxy(masks).tolist() == [[1, 1, 4, 3], [0, 0, 8, 6], [7, 5, 8, 6]]


def test_empty_masks_and_no_masks() -> None:
    (empty,) = encode(np.zeros((1, *SIZE), bool))
    assert areas([empty]).tolist() == [0]
    assert boxes_xyxy([empty]).tolist() == [[0, 0, 0, 0]]
    assert areas([]).shape == (0,)
    assert boxes_xyxy([]).shape == (0, 4)
    assert encode(np.zeros((0, *SIZE), bool)) == []
    assert decode([], SIZE).shape == (0, 6, 8)


def test_any_number_of_masks() -> None:
    masks = encode(np.ones((700, 2, 3), bool))
    assert areas(masks).tolist() == [6] * 700
    assert boxes_xyxy(masks).shape == (700, 4)
    assert mask_iou(masks, masks).all()
    assert decode(masks, (2, 3)).all()


@settings(deadline=None, max_examples=60)
@given(bitmaps_strategy)
def test_boxes_are_tight(bitmaps: NDArray[np.bool_]) -> None:
    for box, bitmap in zip(boxes_xyxy(encode(bitmaps)), bitmaps, strict=True):
        if bitmap.any():
            rows, columns = np.nonzero(bitmap)
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == expected


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 1, 4, 1, 4, 3, 1, 3]],
        [[1, 1, 2, 1, 2, 3, 1, 3], [2, 1, 4, 1, 4, 3, 2, 3]],
        {"size": [6, 8], "counts": [7, 2, 4, 2, 4, 2, 27]},
        {"size": [6, 8], "counts": "724000g0"},
        {"size": [6, 8], "counts": b"724000g0"},
    ],
    ids=["polygon", "two polygons", "uncompressed", "compressed", "bytes"],
)
def test_every_form_of_segmentation_gives_the_same_mask(segmentation: Any) -> None:
    mask = from_segmentation(segmentation, SIZE)
    assert (decode([mask], SIZE)[0] == rectangle(1, 1, 3, 4)).all()


def test_runs_of_length_0_are_joined() -> None:
    split = {"size": [6, 8], "counts": [7, 1, 0, 1, 4, 2, 4, 2, 27, 0]}
    assert from_segmentation(split, SIZE) == {"size": [6, 8], "counts": "724000g0"}
    nothing = {"size": [6, 8], "counts": [20, 0, 28]}
    assert boxes_xyxy([from_segmentation(nothing, SIZE)]).tolist() == [[0, 0, 0, 0]]


def test_from_segmentation_refuses_with_the_reason() -> None:
    with pytest.raises(ValueError, match="RLE counts add up to 47 pixels, but the image has 48"):
        from_segmentation({"size": [6, 8], "counts": [47]}, SIZE)


def test_mask_iou_by_hand() -> None:
    a = encode(np.stack([rectangle(0, 0, 4, 4), rectangle(5, 7, 6, 8)]))
    b = encode(np.stack([rectangle(2, 0, 6, 4), rectangle(0, 0, 4, 4)]))
    assert mask_iou(a, b) == pytest.approx(np.array([[8 / 24, 1], [0, 0]]))
    # against a crowd, the union is the mask of `a`
    assert mask_iou(a, b, crowd=[True, False]) == pytest.approx(np.array([[8 / 16, 1], [0, 0]]))


@settings(deadline=None, max_examples=60)
@given(bitmaps_strategy, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_mask_iou_equals_counting(bitmaps: NDArray[np.bool_], seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    others = random.random((count, *bitmaps.shape[1:])) < 0.4
    crowd = random.random(count) < 0.5
    iou = mask_iou(encode(bitmaps), encode(others), crowd)
    assert iou.shape == (len(bitmaps), count)
    for i, a in enumerate(bitmaps):
        for j, b in enumerate(others):
            union = a.sum() if crowd[j] else (a | b).sum()
            assert iou[i, j] == pytest.approx((a & b).sum() / union if union else 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: mask_iou(a, a, crowd=[True, False]), r"crowd must be \(1,\), got \(2,\)"),
        (lambda a: mask_iou(a, encode(np.ones((1, 2, 2), bool))), "mask 1 must have the size"),
    ],
)
def test_overlaps_refuse(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(encode(np.ones((1, *SIZE), bool)))


def test_resize_takes_the_nearest_pixel() -> None:
    (mask,) = encode(rectangle(1, 1, 3, 4)[None])
    doubled = decode([resize(mask, (12, 16))], (12, 16))[0]
    assert (doubled == rectangle(1, 1, 3, 4).repeat(2, 0).repeat(2, 1)).all()
    assert resize(resize(mask, (12, 16)), SIZE) == mask
    assert resize(mask, SIZE) == mask
    # 6 -> 2 rows: the centres 1 and 4 of three; 8 -> 4 columns: the right one of two
    assert decode([resize(mask, (2, 4))], (2, 4)).tolist() == [[[1, 1, 0, 0], [0, 0, 0, 0]]]


def test_one_mask_is_its_own_union_and_several_are_one() -> None:
    masks = encode(np.stack([rectangle(0, 0, 2, 2), rectangle(1, 1, 3, 3), rectangle(5, 7, 6, 8)]))
    assert union(masks[:1]) == masks[0]
    expected = rectangle(0, 0, 2, 2) | rectangle(1, 1, 3, 3) | rectangle(5, 7, 6, 8)
    assert union(masks) == encode(expected[None])[0]


def test_area_and_box_as_coco_derives_them() -> None:
    (mask,) = encode(rectangle(1, 2, 3, 7)[None])
    assert area_and_box(mask) == {"area": 10.0, "bbox": [2.0, 1.0, 5.0, 2.0]}
    assert boxes_xywh([]).shape == (0, 4)


def test_run_lengths_go_down_the_columns_from_the_background_on() -> None:
    mask = from_runs([7, 2, 4, 2, 4, 2, 27], SIZE)
    assert mask == {"size": [6, 8], "counts": "724000g0"}
