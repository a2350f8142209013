"""A quick check of many compressed masks at once, for files with hundreds of thousands of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ggn.evaluation.matching import Bools

Integers = NDArray[np.int64]

_MAX_CHARACTERS = 6  # 30 bits: more than any run, and sums stay far from overflow


def are_sound(counts: Sequence[str], n_pixels: Sequence[int]) -> Bools:
    """Whether the run lengths surely describe masks of that many pixels, (N,).

    What is not surely sound may be valid all the same, for instance with runs of no pixels:
    `ggn.core.masks.from_segmentation` tells, and why not.

    Args:
        counts: COCO's compressed run lengths. A character carries 5 bits and says whether the
            number goes on; from the fourth on, numbers are differences to the one before the last.
        n_pixels: height times width of each mask.
    """
    sound = np.array([text.isascii() and text != "" for text in counts], bool)
    chosen = np.flatnonzero(sound).tolist()
    if not chosen:
        return sound
    text = "".join([counts[index] for index in chosen])
    values = np.frombuffer(text.encode("ascii"), np.uint8) - np.uint8(48)  # wraps below "0"
    text_ends = np.cumsum([len(counts[index]) for index in chosen])
    text_starts = np.concatenate([[0], text_ends[:-1]])
    goes_on = values & 32 != 0
    well_formed = (np.maximum.reduceat(values, text_starts) < 64) & ~goes_on[text_ends - 1]
    goes_on[text_ends - 1] = False  # a mask that breaks off must not run into the next one
    numbers, n_characters = _numbers(values, np.flatnonzero(~goes_on))
    number_ends = np.cumsum(~goes_on)[text_ends - 1]
    number_starts = np.concatenate([[0], number_ends[:-1]])
    well_formed &= np.maximum.reduceat(n_characters, number_starts) <= _MAX_CHARACTERS
    runs = _undo_differences(numbers, number_starts, number_ends)
    well_formed &= np.add.reduceat(runs, number_starts) == np.asarray(n_pixels)[chosen]
    runs[number_starts] += 1  # only the first run, of the background, may be empty
    sound[chosen] = well_formed & (np.minimum.reduceat(runs, number_starts) > 0)
    return sound


def _numbers(values: NDArray[np.uint8], last: Integers) -> tuple[Integers, Integers]:
    """Signed numbers that end with the characters `last`, and how many characters each has."""
    first = np.concatenate([[0], last[:-1] + 1])
    n_characters = last - first + 1
    numbers = (values[first] & 31).astype(np.int64)
    for place in range(1, _MAX_CHARACTERS):
        longer = np.flatnonzero(n_characters > place)
        numbers[longer] += (values[first[longer] + place] & 31).astype(np.int64) << (5 * place)
    negative = np.flatnonzero(values[last] & 16)
    numbers[negative] -= 1 << (5 * np.minimum(n_characters[negative], _MAX_CHARACTERS))
    return numbers, n_characters


def _undo_differences(numbers: Integers, starts: Integers, ends: Integers) -> Integers:
    """Run lengths of masks whose numbers lie between `starts` and `ends`."""
    sums = numbers.copy()
    sums[0::2] = np.cumsum(numbers[0::2])
    sums[1::2] = np.cumsum(numbers[1::2])
    # Each mask has two chains, of its second and of its third number, that begin from nothing.
    before_second = np.where(starts > 0, sums[starts - 1], 0)
    before_third = sums[starts]
    n_numbers = ends - starts
    is_second_chain = (np.arange(len(numbers)) - np.repeat(starts, n_numbers)) & 1 != 0
    runs: Integers = sums - np.where(
        is_second_chain, np.repeat(before_second, n_numbers), np.repeat(before_third, n_numbers)
    )
    runs[starts] = numbers[starts]
    return runs
