"""The inputs of the evaluation as arrays per image: objects, detections and their overlaps."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ggn.core.coco import Fault
from ggn.core.faults import Mends
from ggn.core.masks import boxes_xywh
from ggn.evaluation.detections import NO_CATEGORY, Detections, Predictions
from ggn.evaluation.image_records import Federation, Images
from ggn.evaluation.matching import box_iou_xywh
from ggn.evaluation.object_shapes import Record, has_box
from ggn.evaluation.params import IouType
from ggn.evaluation.predictions import read_predictions
from ggn.evaluation.records import PredictionCheck, read_annotations
from ggn.evaluation.run_lengths import Bools, boxes_and_areas, mask_iou


@dataclass(frozen=True)
class ImageArrays:
    """One image with D detections, best first, and G objects; areas in square pixels."""

    iou: NDArray[np.float64]
    """(D, G); the columns of crowds by COCO's crowd rule."""
    scores: NDArray[np.float64]
    """(D,)"""
    detection_areas: NDArray[np.float64]
    """(D,)"""
    areas: NDArray[np.float64]
    """(G,)"""
    category_ids: NDArray[np.int64]
    """(G,)"""
    crowd: Bools
    """(G,)"""
    image_id: int
    object_indices: NDArray[np.int64]
    """(G,) places of the objects in `EvaluationInputs.objects`; ids of annotations may repeat."""
    detection_category_ids: NDArray[np.int64]
    """(D,) -1 without a category."""
    federation: Federation | None
    """None unless the dataset is federated."""

    def without_overlaps(self) -> Self:
        """Return everything except `iou`, which is by far the largest array."""
        return replace(self, iou=np.zeros((0, 0)))


@dataclass(frozen=True)
class EvaluationInputs:
    """The checked inputs, in the order of COCOeval.

    Images by id; objects by category, then as in the file; detections by falling score, then
    category, then as in the file. The order decides between equal scores and equal overlaps.
    """

    categories: Sequence[Record]
    images: Images
    objects: Mapping[int, Sequence[Record]]
    """By image id."""
    predictions: Predictions
    contradictions: Sequence[Fault] = ()
    """Objects whose box, area and mask contradict each other."""
    warnings: Sequence[str] = ()
    """Sentences on duplicates."""
    mends: Mends = field(default_factory=Mends)
    """Objects that were mended in reading."""

    @property
    def image_ids(self) -> Sequence[int]:
        """Ids of all images, ascending."""
        return sorted(self.images.ids)

    @cached_property
    def used_categories(self) -> frozenset[int]:
        """Ids of the categories that some object has."""
        return frozenset(o["category_id"] for objects in self.objects.values() for o in objects)

    def arrays(self, iou_type: IouType, max_detections: int) -> Iterator[Callable[[], ImageArrays]]:
        """Yield functions that read and compare each image, including empty ones.

        They may be called on any thread; memory holds the images whose arrays are in use.
        """
        image_ids = self.image_ids
        detections = self.predictions.by_image(image_ids, max_detections)
        for image_id, read in zip(image_ids, detections, strict=True):
            yield partial(self._arrays, image_id, read, iou_type)

    def _arrays(
        self, image_id: int, read: Callable[[], Detections], iou_type: IouType
    ) -> ImageArrays:
        objects, detections = self.objects.get(image_id, ()), read()
        crowd = np.array([item.get("iscrowd", 0) for item in objects], bool)
        try:
            iou, boxes, areas = self._overlaps(image_id, detections, objects, crowd, iou_type)
        except ValueError as error:
            raise ValueError(f"{self.predictions.name}: image {image_id}: {error}") from error
        if self.predictions.are_sized_by_box:
            areas = boxes[:, 2] * boxes[:, 3]
        return ImageArrays(
            iou=iou,
            scores=detections.scores,
            detection_areas=areas,
            areas=np.array([item["area"] for item in objects], np.float64),
            category_ids=np.array([item["category_id"] for item in objects], np.int64),
            crowd=crowd,
            image_id=image_id,
            object_indices=np.arange(len(objects)),
            detection_category_ids=np.where(
                detections.category_ids == NO_CATEGORY, -1, detections.category_ids
            ),
            federation=self.images.federation.get(image_id),
        )

    def _overlaps(
        self,
        image_id: int,
        detections: Detections,
        objects: Sequence[Record],
        crowd: Bools,
        iou_type: IouType,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return IoU (D, G), boxes (D, 4) and areas (D,); missing boxes are those of the masks."""
        size_hw = self.images.sizes_hw.get(image_id, (0, 0))
        if iou_type == "bbox":
            boxes, areas = _boxes_and_areas(detections, size_hw)
            return box_iou_xywh(boxes, _object_boxes(objects), crowd), boxes, areas
        masks = [item["segmentation"] for item in objects]
        iou, boxes, areas = mask_iou(detections.masks, masks, crowd, size_hw)
        stated = detections.boxes_xywh
        return iou, np.where(np.isnan(stated), boxes, stated), areas


def read_inputs(
    annotations: Path | str | Mapping[str, Any],
    predictions: Path | str | Sequence[Record],
    iou_types: Sequence[IouType],
    *,
    strict: bool = False,
) -> EvaluationInputs:
    """Read and check annotations and predictions.

    Args:
        annotations: as in `read_annotations`.
        predictions: as in `read_predictions`.
        iou_types: what is compared.
        strict: refuse what is otherwise mended in reading, as in `read_annotations`.

    Raises:
        CocoError: listing the faults of the annotations, or else of the predictions.
        FileNotFoundError: no such file.
    """
    dataset = read_annotations(annotations, iou_types, strict=strict)
    name = str(predictions) if isinstance(predictions, Path | str) else "predictions"
    check = PredictionCheck(name, dataset.images, iou_types, strict=strict)
    return EvaluationInputs(
        categories=dataset.categories,
        images=dataset.images,
        objects=_by_image(sorted(dataset.objects, key=lambda item: item["category_id"])),
        predictions=read_predictions(predictions, check),
        contradictions=dataset.contradictions,
        warnings=dataset.warnings,
        mends=dataset.mends,
    )


def _by_image(records: Sequence[Record]) -> dict[int, list[Record]]:
    by_image: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_image[record["image_id"]].append(record)
    return dict(by_image)


def _boxes_and_areas(
    detections: Detections, size_hw: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes (D, 4), or those of the masks if not stated, and areas (D,) of the masks."""
    boxes = detections.boxes_xywh
    areas = boxes[:, 2] * boxes[:, 3]
    has_mask = detections.masks.lengths > 0
    if has_mask.any():
        of_masks, areas[has_mask] = boxes_and_areas(detections.masks[has_mask], size_hw)
        boxes = boxes.copy()
        boxes[has_mask] = np.where(np.isnan(boxes[has_mask]), of_masks, boxes[has_mask])
    return boxes, areas


def _object_boxes(objects: Sequence[Record]) -> NDArray[np.float64]:
    """Return boxes (G, 4) of objects, or those of their masks if there is no box."""
    boxes = [o["bbox"] if has_box(o) else boxes_xywh([o["segmentation"]])[0] for o in objects]
    return np.array(boxes, np.float64).reshape(-1, 4)
