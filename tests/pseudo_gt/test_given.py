"""Masks of a store as candidates: the images it has, those it lacks, and those of another set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ggn.core import Instances
from ggn.core.masks import encode
from ggn.data.mask_store import MaskStoreWriter
from ggn.pseudo_gt.given import from_store

IMAGES = [{"id": key, "height": 4, "width": 6} for key in (1, 2, 3)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Image 1 has a mask, image 2 none; image 3 is not there."""
    bitmap = np.zeros((1, 4, 6), dtype=bool)
    bitmap[:, :, :2] = True
    masks = Instances(encode(bitmap), np.array([0.5], dtype=np.float32), (4, 6))
    with MaskStoreWriter(tmp_path / "store") as writer:
        writer.add(1, masks, [0.0])
        writer.add(2, Instances.empty((4, 6)), [])
    return tmp_path / "store"


def test_every_image_has_the_masks_of_the_store_or_none(store: Path) -> None:
    one, two, three = from_store(store, IMAGES)([1, 2, 3])
    assert [item.image_id for item in (one, two, three)] == [1, 2, 3]
    assert (one.instances.areas.tolist(), one.instances.scores.tolist()) == ([8], [0.5])
    assert one.features.shape == (1, 0)
    assert (len(two.instances), len(three.instances)) == (0, 0)


def test_a_store_of_another_set_is_refused(store: Path) -> None:
    with pytest.raises(ValueError, match=r"store: has none of the 1 images; is it another set's\?"):
        from_store(store, [{"id": 9, "height": 4, "width": 6}])
    extract = from_store(store, [{"id": 1, "height": 8, "width": 6}])
    with pytest.raises(ValueError, match=r"image 1 must be \(8, 6\), got \(4, 6\)"):
        list(extract([1]))
