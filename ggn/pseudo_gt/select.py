"""Selects the candidates that become pseudo ground truth, and measures their quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.instances import Instances
from ggn.core.masks import RLE, from_segmentation, mask_iou
from ggn.pseudo_gt.params import PseudoGtParams

HIT_IOU = 0.5


def select(
    candidates: Instances, annotated: Sequence[RLE], params: PseudoGtParams
) -> tuple[Instances, NDArray[np.float64]]:
    """Drop candidates that are annotated, too small, poorly scored or duplicates; keep `top_k`.

    Args:
        candidates: best first; masks of another size are scaled to that of the annotations.
        annotated: masks of the image's annotations; may be empty.
        params: the limits.

    Returns:
        The chosen candidates, and for each its largest IoU with an annotation (0 if there is none).
    """
    if annotated:
        height, width = annotated[0]["size"]
        candidates = candidates.resized((height, width))
    overlap = mask_iou(candidates.masks, annotated).max(axis=1, initial=0)
    keep = (overlap < params.max_annotation_iou) & (candidates.areas >= params.min_area)
    if params.min_score is not None:
        keep &= candidates.scores >= params.min_score
    chosen: list[int] = []
    for index in np.flatnonzero(keep):
        if len(chosen) == params.top_k:
            break
        before = [candidates.masks[other] for other in chosen]
        if mask_iou([candidates.masks[index]], before).max(initial=0) <= params.nms_iou:
            chosen.append(int(index))
    places = np.array(chosen, dtype=np.intp)
    return candidates[places], overlap[places]


def objects(
    records: Sequence[Mapping[str, Any]], size_hw: tuple[int, int], *, crowds: bool = False
) -> list[RLE]:
    """Return the masks of an image's annotations, with or without crowds."""
    kept = [record for record in records if crowds or not record.get("iscrowd", 0)]
    return [from_segmentation(record["segmentation"], size_hw) for record in kept]


@dataclass
class Quality:
    """Counts how many pseudo masks hit objects, and how many objects are hit."""

    pseudo: int = 0
    objects: int = 0
    hits: int = 0
    best_iou_sum: float = 0.0

    def add(self, selected: Instances, truth: Sequence[RLE]) -> None:
        """Match one image's pseudo masks, best first, with its objects: one to one, IoU ≥ 0.5."""
        overlap = mask_iou(selected.masks, truth)
        self.pseudo += len(selected)
        self.objects += len(truth)
        self.best_iou_sum += float(overlap.max(axis=0, initial=0).sum())
        free = np.ones(len(truth), dtype=bool)
        for row in overlap:
            best = int(np.argmax(np.where(free, row, -1))) if free.any() else -1
            if best >= 0 and row[best] >= HIT_IOU:
                free[best] = False
                self.hits += 1

    def metrics(self) -> dict[str, float]:
        """Return precision, recall, F1 (0 to 1) and the mean best IoU of the objects."""
        precision = self.hits / self.pseudo if self.pseudo else 0.0
        recall = self.hits / self.objects if self.objects else 0.0
        total = precision + recall
        return {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / total if total else 0.0,
            "mean_best_iou": self.best_iou_sum / self.objects if self.objects else 0.0,
        }
