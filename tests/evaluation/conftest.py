"""A builder of small scenes for the tests of the evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ggn.core.masks import encode

SIDE = 200
CATEGORY_IDS = {"seen": 3, "unseen": 7, "rare": 9}


class Scene:
    """Images of 200 x 200 pixels with boxes x, y, width, height; masks are the filled boxes.

    Detections get falling scores in the order in which they are added, unless a score is given.
    """

    def __init__(self) -> None:
        self.annotations: dict[str, Any] = {
            "images": [],
            "categories": [{"id": id_, "name": name} for name, id_ in CATEGORY_IDS.items()],
            "annotations": [],
        }
        self.predictions: list[dict[str, Any]] = []
        self.image()

    def image(self) -> "Scene":
        """Add an image; objects and detections go to the latest one."""
        image_id = 10 + len(self.annotations["images"])
        self.annotations["images"].append({"id": image_id, "height": SIDE, "width": SIDE})
        return self

    def objects(self, category: str, *boxes: Sequence[float], crowd: int = 0) -> "Scene":
        for box in boxes:
            record = self._shape(box) | {
                "id": 1 + len(self.annotations["annotations"]),
                "category_id": CATEGORY_IDS[category],
                "area": box[2] * box[3],
                "iscrowd": crowd,
            }
            self.annotations["annotations"].append(record)
        return self

    def found(self, *boxes: Sequence[float], score: float | None = None) -> "Scene":
        for box in boxes:
            falling = 1 - len(self.predictions) / 10_000
            record = {"category_id": 3, "score": falling if score is None else score}
            self.predictions.append(self._shape(box) | record)
        return self

    def _shape(self, box: Sequence[float]) -> dict[str, Any]:
        bitmap = np.zeros((1, SIDE, SIDE), bool)
        x, y, width, height = (round(value) for value in box)
        bitmap[:, max(y, 0) : y + height, max(x, 0) : x + width] = True
        return {
            "image_id": self.annotations["images"][-1]["id"],
            "bbox": list(box),
            "segmentation": encode(bitmap)[0],
        }


@pytest.fixture
def scene() -> Scene:
    return Scene()
