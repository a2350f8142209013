"""Affinity maps that tests of several modules start from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

Maps = Callable[..., NDArray[np.float32]]


@pytest.fixture(scope="session")
def cell_map() -> Maps:
    """Builder of maps like a network's: Voronoi cells, blurred boundaries, smooth noise."""

    def build(seed: int, cells: int = 12, size_hw: tuple[int, int] = (120, 160)) -> Any:
        random = np.random.default_rng(seed)
        centres = random.random((cells, 2)) * size_hw
        pixels = np.stack([*np.indices(size_hw)], axis=-1)[:, :, None] + 0.5
        nearest = ((pixels - centres) ** 2).sum(axis=-1).argmin(axis=-1)
        differs = np.zeros(size_hw)
        differs[:, 1:] += nearest[:, 1:] != nearest[:, :-1]
        differs[1:] += nearest[1:] != nearest[:-1]
        noise = ndimage.gaussian_filter(random.standard_normal(size_hw), 1.5)
        boundary = 2.5 * ndimage.gaussian_filter(differs, 1.5) + 0.3 * np.abs(noise)
        return np.clip(1 - boundary, 0, 1).astype(np.float32)

    return build
