"""The quick check of run lengths against the careful one of the core."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ggn.core.masks import encode, from_segmentation
from ggn.evaluation.run_lengths import RunLengths
from ggn.evaluation.run_lengths import are_sound as are_sound_run_lengths

SIDE = 6
N_PIXELS = SIDE * SIDE


def are_sound(counts: list[str], n_pixels: list[int]) -> np.ndarray:
    return are_sound_run_lengths(RunLengths.of(counts), np.array(n_pixels, np.int64))


def is_valid(counts: str) -> bool:
    try:
        from_segmentation({"size": [SIDE, SIDE], "counts": counts}, (SIDE, SIDE))
    except ValueError:
        return False
    return True


def test_by_hand() -> None:
    # Characters carry 5 bits above "0": "T1" is 4 + 32 * 1 = 36 (bit 5 of "T" - "0" = 36: it goes
    # on); "6" is 6, ":" is 10, "D" is 20 with the sign bit, so -12.
    sound = are_sound(["T1", "6:D1", "6", "T", ""], [36] * 5)
    assert sound.tolist() == [True, False, False, False, False]
    # 10 background, 10 object, 10 background, then 6 = 10 - 4 ("L" is -4).
    assert are_sound(["::::", ":::L"], [36, 36]).tolist() == [False, True]


def test_each_mask_has_its_own_size() -> None:
    assert are_sound(["T1", "T1"], [36, 35]).tolist() == [True, False]


def test_no_masks() -> None:
    assert are_sound([], []).tolist() == []
    assert are_sound(["", "\u00e9"], [36, 36]).tolist() == [False, False]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=N_PIXELS, max_size=N_PIXELS), max_size=8))
def test_all_encoded_masks_are_sound(bitmaps: list[list[bool]]) -> None:
    masks = encode(np.array(bitmaps, bool).reshape(-1, SIDE, SIDE))
    assert are_sound([mask["counts"] for mask in masks], [N_PIXELS] * len(masks)).all()


def test_large_masks_are_sound() -> None:
    bitmap = np.zeros((2, 3000, 2000), bool)  # runs of up to 6 million: 5 characters
    bitmap[0, 1000:2000, 700] = True
    assert are_sound([mask["counts"] for mask in encode(bitmap)], [6_000_000] * 2).all()


any_text = st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=12)
edited = st.tuples(
    st.lists(st.booleans(), min_size=N_PIXELS, max_size=N_PIXELS),
    st.integers(0, 30),
    st.text("0123456789:;<=>?@ABCLMNOPTo~ ", max_size=2),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(any_text | edited, min_size=1, max_size=6))
@example(["ooooooooooooooo0", "T1"])
@example(["T", "T1"])
@example(["T1", "o"])
@example(["oooooo7", "T1"])
def test_whatever_is_sound_is_valid(texts: list[str]) -> None:
    counts = [text if isinstance(text, str) else damaged(*text) for text in texts]
    sound = are_sound(counts, [N_PIXELS] * len(counts))
    assert all(is_valid(text) for flag, text in zip(sound, counts, strict=True) if flag)
    # Neighbours have no influence.
    alone = [bool(are_sound([text], [N_PIXELS])[0]) for text in counts]
    assert sound.tolist() == alone


def damaged(bitmap: list[bool], place: int, replacement: str) -> str:
    counts = encode(np.array(bitmap, bool).reshape(1, SIDE, SIDE))[0]["counts"]
    return counts[:place] + replacement + counts[place + 1 :]


@pytest.mark.parametrize("counts", ["T1", ":::L"])
def test_sound_examples_are_valid(counts: str) -> None:
    assert is_valid(counts)
    assert are_sound([counts], [N_PIXELS]).all()


def test_empty_runs_are_left_to_the_careful_check() -> None:
    # 10, 0, 26: allowed, although the run of the object is empty.
    assert is_valid(":0j0")
    assert not are_sound([":0j0"], [N_PIXELS]).any()
