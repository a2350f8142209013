"""Instances of a large image at one of its levels, to be drawn."""

from __future__ import annotations

from ggn.core.instances import Instances
from ggn.core.windows import mask_of, window_of
from ggn.tiles.pieces import Whole


def reduced(instances: Instances, level: int) -> Instances:
    """Return the instances in pixels of a level of `pyramid`; one may be left without a pixel."""
    if level == 0:
        return instances
    height, width = (-(-side // (1 << level)) for side in instances.image_size_hw)
    masks = [
        mask_of(Whole.of(0, window_of(mask), 0.0, False).at_level(level), (height, width))
        for mask in instances.masks
    ]
    return Instances(masks, instances.scores, (height, width))
