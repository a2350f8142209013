"""Masks that somebody else has extracted, as the candidates of a dataset's images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ggn.core.instances import Instances
from ggn.data.mask_store import MaskStore
from ggn.store.rows import ImageInstances
from ggn.store.work import Find

logger = logging.getLogger(__name__)


def from_store(folder: Path, images: Sequence[Mapping[str, Any]]) -> Find:
    """Return what finds the candidates of images in a store: best first, without features.

    An image that the store doesn't have has none.

    Args:
        folder: the store.
        images: of a COCO-style dataset.

    Raises:
        ValueError: the store has none of the images, or one of another size, which is named.
        MaskStoreError: the store is damaged.
    """
    store = MaskStore(folder)
    sizes_hw = {image["id"]: (image["height"], image["width"]) for image in images}
    there = len(set(store.image_ids.tolist()) & sizes_hw.keys())
    if sizes_hw and not there:
        raise ValueError(f"{folder}: has none of the {len(sizes_hw)} images; is it another set's?")
    logger.info("%s: has masks for %d of %d images", folder, there, len(sizes_hw))

    def find(image_ids: Iterable[int]) -> Iterator[ImageInstances]:
        for image_id in image_ids:
            size_hw = sizes_hw[image_id]
            found = store.read(image_id)
            masks = Instances.empty(size_hw) if found is None else found
            if masks.image_size_hw != size_hw:
                raise ValueError(
                    f"{folder}: image {image_id} must be {size_hw}, got {masks.image_size_hw}"
                )
            yield ImageInstances.without_features(image_id, masks)

    return find
