"""Many compressed masks together: fast checks, boxes, areas and overlaps, in C++."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ggn.core.checkout import require_fresh_build
from ggn.core.masks import RLE
from ggn.evaluation import _overlaps

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SOURCES = ("_elements.hpp", "_matching.hpp", "_overlaps.hpp", "_overlaps.pyx")


@dataclass(frozen=True)
class RunLengths:
    """COCO's compressed run lengths of N masks, as ASCII in one block of memory."""

    memory: NDArray[np.uint8]
    """All strings, in any order."""
    starts: Integers
    """(N,) where each string begins in `memory`."""
    lengths: Integers
    """(N,) in bytes; 0 stands for no mask."""

    @classmethod
    def of(cls, counts: Sequence[str]) -> Self:
        """Return the strings; one that is not ASCII is replaced by another invalid one.

        Args:
            counts: as under `counts` of a COCO mask.
        """
        joined = "".join(counts)
        if not joined.isascii():
            return cls.of([text.encode("ascii", "replace").decode() for text in counts])
        lengths = np.array([*map(len, counts)], np.int64)
        memory = np.frombuffer(joined.encode("ascii"), np.uint8)
        return cls(memory, np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, chosen: NDArray[np.integer] | Bools | slice) -> RunLengths:
        return RunLengths(self.memory, self.starts[chosen], self.lengths[chosen])

    def packed(self) -> bytes:
        """Return the strings in order, joined."""
        ends = self.starts + self.lengths
        if len(self) and np.array_equal(self.starts[1:], ends[:-1]):
            return self.memory[self.starts[0] : ends[-1]].tobytes()
        pairs = zip(self.starts.tolist(), ends.tolist(), strict=True)
        return b"".join(self.memory[start:end].tobytes() for start, end in pairs)


def are_sound(masks: RunLengths, n_pixels: Integers) -> Bools:
    """Return whether the run lengths surely describe masks of that many pixels, (N,).

    The others may still be valid, for instance with empty runs:
    `ggn.core.masks.from_segmentation` decides, and says why not.

    Args:
        masks: N of them.
        n_pixels: (N,) height times width of each.
    """
    return _overlaps.are_sound(masks.memory, masks.starts, masks.lengths, n_pixels)


def boxes_and_areas(masks: RunLengths, size_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return tight boxes x, y, width, height (N, 4) and areas (N,) of masks of one size, in pixels.

    The box of an empty mask is (0, 0, 0, 0).

    Raises:
        ValueError: the run lengths of a mask do not describe one of that size.
    """
    return _overlaps.boxes_and_areas(masks.memory, masks.starts, masks.lengths, *size_hw)


def mask_iou(
    detections: RunLengths, objects: Sequence[RLE], crowd: Bools, size_hw: tuple[int, int]
) -> tuple[Floats, Floats, Floats]:
    """Return the IoU (D, G) of masks of one size; boxes and areas are those of `boxes_and_areas`.

    In the columns of crowds (G,) the divisor is the detection's area instead of the union. The
    numbers are those of `ggn.core.masks.mask_iou`.

    Raises:
        ValueError: the run lengths of a mask do not describe one of that size.
    """
    return _overlaps.mask_iou(
        detections.memory,
        detections.starts,
        detections.lengths,
        [mask["counts"] for mask in objects],
        crowd.view(np.uint8),
        *size_hw,
    )


require_fresh_build(Path(__file__).parent, SOURCES, _overlaps.SOURCE_HASH, _overlaps.__file__)
