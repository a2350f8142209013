"""Segmentations are read correctly or refused; garbage never reaches pycocotools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from ggn.core.segmentation import parse_segmentation

SIZE = (6, 8)
RUNS = [7, 2, 4, 2, 4, 2, 27]  # rows 1-2 of columns 1-3, column by column
COMPRESSED = "724000g0"


def test_polygons_become_points() -> None:
    (points,) = parse_segmentation([[1, 1, 4, 1.5, 4, 3]], SIZE)
    assert points.tolist() == [[1, 1], [4, 1.5], [4, 3]]


def test_compressed_counts_decode_by_hand() -> None:
    # '7' = 7, '2' = 2, '4' = 4; then differences to the number two before: '0' = 0 three times,
    # 'g0' = 23 + 0 * 32 continued: 'g' is 55 = 32 (more follows) + 23, so 4 + 23 = 27.
    assert parse_segmentation({"size": [6, 8], "counts": COMPRESSED}, SIZE).tolist() == RUNS


def test_negative_differences_decode() -> None:
    runs = [20, 9, 5, 3, 1, 10]
    counts = coco_mask.frPyObjects({"size": [6, 8], "counts": runs}, *SIZE)["counts"]
    assert parse_segmentation({"size": [6, 8], "counts": counts}, SIZE).tolist() == runs


@pytest.mark.parametrize("counts", [RUNS, COMPRESSED, COMPRESSED.encode()])
def test_all_forms_of_rle_agree(counts: object) -> None:
    assert parse_segmentation({"size": [6, 8], "counts": counts}, SIZE).tolist() == RUNS


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_decoding_inverts_pycocotools(height: int, width: int, seed: int, density: float) -> None:
    bitmap = np.random.default_rng(seed).random((height, width)) < density
    rle = coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    runs = parse_segmentation(rle, (height, width))
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).reshape((height, width), order="F")
    assert (pixels == bitmap).all()


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=[chr(code) for code in range(46, 114)], max_size=12))
def test_any_string_is_refused_or_means_what_pycocotools_reads(counts: str) -> None:
    rle = {"size": [6, 8], "counts": counts}
    try:
        runs = parse_segmentation(rle, SIZE)
    except ValueError:
        return
    assert coco_mask.area(rle) == runs[1::2].sum()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=7)
        | st.dictionaries(st.sampled_from(["size", "counts", "x"]), children)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(json_values)
def test_any_json_is_parsed_or_refused(segmentation: object) -> None:
    try:
        parsed = parse_segmentation(segmentation, SIZE)
    except ValueError:
        return
    if isinstance(parsed, list):
        assert all(len(points) >= 3 for points in parsed)
    else:
        assert parsed.sum() == 48
