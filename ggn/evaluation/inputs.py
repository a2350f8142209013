"""What is evaluated, as arrays per image: objects, detections and their overlaps."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggn.core.masks import RLE, areas, boxes_xyxy
from ggn.evaluation.matching import Bools, box_iou_xywh
from ggn.evaluation.params import IouType
from ggn.evaluation.records import Federation, Record, read_annotations, read_predictions
from ggn.evaluation.run_lengths import iou_and_areas


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
    object_ids: NDArray[np.int64]
    """(G,) ids of the annotations, -1 where there is none."""
    detection_category_ids: NDArray[np.int64]
    """(D,) -1 where there is none."""
    federation: Federation | None
    """None unless the dataset is federated."""


@dataclass(frozen=True)
class EvaluationInputs:
    """Checked records of all images, in the order in which COCOeval would look at them.

    Images by id; objects by category, then as in the file; detections by falling score, then
    category, then as in the file. The order decides between equal scores and equal overlaps.
    """

    categories: Sequence[Record]
    image_ids: Sequence[int]
    objects: Mapping[int, Sequence[Record]]
    detections: Mapping[int, Sequence[Record]]
    detection_area_is_of_box: bool
    """pycocotools takes the size of a detection from its box where the predictions have boxes."""
    federation: Mapping[int, Federation]
    """By image id; empty unless the dataset is federated."""

    def images(self, iou_type: IouType, max_detections: int) -> Iterator[ImageArrays]:
        """Every image, also those without objects or detections; one at a time to bound memory."""
        for image_id in self.image_ids:
            objects = self.objects.get(image_id, ())
            detections = self.detections.get(image_id, ())[:max_detections]
            yield self._arrays(image_id, detections, objects, iou_type)

    def _arrays(
        self,
        image_id: int,
        detections: Sequence[Record],
        objects: Sequence[Record],
        iou_type: IouType,
    ) -> ImageArrays:
        crowd = np.array([item.get("iscrowd", 0) for item in objects], bool)
        if iou_type == "bbox":
            iou = box_iou_xywh(_boxes_xywh(detections), _boxes_xywh(objects), crowd)
        else:
            iou, detection_areas = iou_and_areas(_masks(detections), _masks(objects), crowd)
        if self.detection_area_is_of_box:
            detection_areas = _boxes_xywh(detections)[:, 2:].prod(axis=1)
        elif iou_type == "bbox":
            detection_areas = areas(_masks(detections))
        return ImageArrays(
            iou=iou,
            scores=np.array([item["score"] for item in detections], np.float64),
            detection_areas=detection_areas,
            areas=np.array([item["area"] for item in objects], np.float64),
            category_ids=np.array([item["category_id"] for item in objects], np.int64),
            crowd=crowd,
            image_id=image_id,
            object_ids=_integers(objects, "id"),
            detection_category_ids=_integers(detections, "category_id"),
            federation=self.federation.get(image_id),
        )


def read_inputs(
    annotations: Path | str | Mapping[str, Any],
    predictions: Path | str | Sequence[Record],
    iou_types: Sequence[IouType],
    predictions_name: str = "predictions",
) -> EvaluationInputs:
    """Read and check both sides of the evaluation; `predictions_name` is for messages on a list.

    Raises:
        CocoError: with every fault of the first of the two that has any.
        FileNotFoundError: no such file.
    """
    dataset = read_annotations(annotations, iou_types)
    records = read_predictions(predictions, dataset.images, iou_types, predictions_name)
    return EvaluationInputs(
        categories=dataset.categories,
        image_ids=sorted(dataset.images.ids),
        objects=_by_image(sorted(dataset.objects, key=lambda item: item["category_id"])),
        detections=_by_image(
            sorted(records, key=lambda item: (-item["score"], item.get("category_id", 0)))
        ),
        detection_area_is_of_box=all("bbox" in record for record in records),
        federation=dataset.images.federation,
    )


def _integers(records: Sequence[Record], key: str) -> NDArray[np.int64]:
    return np.array([record.get(key, -1) for record in records], np.int64)


def _by_image(records: Sequence[Record]) -> dict[int, list[Record]]:
    by_image: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_image[record["image_id"]].append(record)
    return dict(by_image)


def _boxes_xywh(items: Sequence[Record]) -> NDArray[np.float64]:
    """Boxes (N, 4); those of the masks where there is no box."""
    boxes = [item["bbox"] if "bbox" in item else _box_of_mask(item) for item in items]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _box_of_mask(item: Record) -> list[float]:
    x1, y1, x2, y2 = boxes_xyxy(_masks([item]))[0].tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _masks(items: Sequence[Record]) -> list[RLE]:
    return [item["segmentation"] for item in items]
