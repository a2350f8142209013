"""Masks that are hard to write: holes, holes in holes, parts apart, single pixels, noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ggn.core.instances import Instances
from ggn.formats import Labelled

SIZE_HW = (40, 56)


@pytest.fixture(name="hard_masks", scope="session")
def _hard_masks() -> NDArray[np.bool_]:
    """Bitmaps (N, 40, 56)."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    distance = np.hypot(rows - 20, columns - 28)
    ring = (distance < 18) & (distance > 12)
    target = ring | ((distance < 8) & (distance > 4)) & (columns > 0)
    nested = np.zeros(SIZE_HW, bool)
    for depth in range(0, 18, 2):  # frames in frames, joined by nothing: parts and holes
        nested[depth : 40 - depth, depth : 56 - depth] = depth % 4 == 0
    comb = (rows < 30) & ((columns % 3 == 0) | (rows < 2))
    pixel = (rows == 7) & (columns == 9)
    corner = (rows == 39) & (columns == 55)
    touching = (rows + columns) % 2 == 0
    touching &= (rows < 6) & (columns < 6)
    whole = np.ones(SIZE_HW, bool)
    disc = distance < 15
    pierced = disc & ~((rows % 4 == 2) & (columns % 5 == 2))
    return np.stack([ring, target, nested, comb, pixel, corner, touching, whole, disc, pierced])


@pytest.fixture
def labelled(tmp_path: Path, hard_masks: NDArray[np.bool_]) -> list[Labelled]:
    """Two images with hard masks (one in a folder), and one without any."""
    names, images = ("a.png", "deep/b & c.png", "none.png"), []
    for image_id, name in enumerate(names, start=1):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*SIZE_HW, 3), np.uint8)).save(path)
        chosen = {1: hard_masks, 2: hard_masks[::2], 3: hard_masks[:0]}[image_id]
        scores = np.linspace(0.9, 0.1, len(chosen))
        images.append(Labelled(image_id, name, path, Instances.from_bitmaps(chosen, scores)))
    return images
