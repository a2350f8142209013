"""Small candidates that the tests of pseudo ground truth start from."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ggn.core import Instances

Boxes = Sequence[tuple[int, int, int, int]]


@pytest.fixture
def rectangles() -> Callable[..., Instances]:
    """Make instances from boxes (y, x, height, width) in an image of 8 x 10 pixels."""

    def make(
        boxes: Boxes, scores: Sequence[float] | None = None, size_hw: tuple[int, int] = (8, 10)
    ) -> Instances:
        bitmaps = np.zeros((len(boxes), *size_hw), dtype=bool)
        for bitmap, (y, x, height, width) in zip(bitmaps, boxes, strict=True):
            bitmap[y : y + height, x : x + width] = True
        falling = 1 - np.arange(len(boxes)) / 10
        return Instances.from_bitmaps(bitmaps, falling if scores is None else np.array(scores))

    return make
