"""Objects that only one of two models finds, and their pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.core.masks import RLE, from_segmentation
from ggn.evaluation.inputs import EvaluationInputs
from ggn.evaluation.object_shapes import Record
from ggn.evaluation.pictures import Picture, overlay
from ggn.evaluation.ranks import ObjectRanks


@dataclass(frozen=True)
class Disagreement:
    """How two models did on the same objects, at IoU 0.5 and k detections per image."""

    image_ids: NDArray[np.int64]
    """(N,) of all objects."""
    object_indices: NDArray[np.int64]
    """(N,) as in `ObjectRanks`."""
    by_first: NDArray[np.bool_]
    """(N,) found by the first model."""
    by_second: NDArray[np.bool_]
    """(N,) found by the second."""

    def counts(self) -> dict[str, int]:
        """Return the numbers of objects that both models, only one, or neither has found."""
        return {
            "both": int((self.by_first & self.by_second).sum()),
            "only_first": int((self.by_first & ~self.by_second).sum()),
            "only_second": int((self.by_second & ~self.by_first).sum()),
            "neither": int((~self.by_first & ~self.by_second).sum()),
        }

    def most_disputed(self, count: int) -> list[int]:
        """Return up to `count` ids of images with the most objects that only one model finds."""
        ids, number = np.unique(self.image_ids[self.by_first != self.by_second], return_counts=True)
        return [int(id_) for id_ in ids[np.argsort(-number, kind="stable")][:count]]


def disagreement(first: ObjectRanks, second: ObjectRanks, k: int) -> Disagreement:
    """Compare which of the same objects two models find.

    Raises:
        ValueError: the objects are not the same.
    """
    same = np.array_equal(first.object_indices, second.object_indices)
    if not same or not np.array_equal(first.image_ids, second.image_ids):
        raise ValueError("the two evaluations are not of the same objects")
    return Disagreement(first.image_ids, first.object_indices, first.found(k), second.found(k))


def disagreement_row(
    image: Picture, inputs: EvaluationInputs, image_id: int, outcome: Disagreement, names: list[str]
) -> dict[str, Picture]:
    """Return one image's pictures by title: the objects, and those that only one model finds.

    Args:
        image: uint8 (H, W, 3) RGB.
        inputs: with the objects of the image.
        image_id: of the image.
        outcome: of the two models.
        names: of the two models, for the titles.
    """
    here = outcome.image_ids == image_id
    records = inputs.objects[image_id]
    size_hw = (image.shape[0], image.shape[1])

    def shown(chosen: NDArray[np.bool_]) -> Picture:
        masks = [_mask(records[place], size_hw) for place in outcome.object_indices[here & chosen]]
        return overlay(image, Instances(masks, np.ones(len(masks), np.float32), size_hw))

    return {
        "evaluated objects": shown(here),
        f"only {names[0]}": shown(outcome.by_first & ~outcome.by_second),
        f"only {names[1]}": shown(outcome.by_second & ~outcome.by_first),
    }


def _mask(record: Record, size_hw: tuple[int, int]) -> RLE:
    """Return the object's mask, or its box as a mask if it has none."""
    if record.get("segmentation"):
        return from_segmentation(record["segmentation"], size_hw, [])
    x, y, width, height = record["bbox"]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return from_segmentation([corners], size_hw)
