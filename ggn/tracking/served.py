"""The model that `mlflow models serve` runs: takes a posted image, returns masks.

MLflow copies this file beside the weights and runs the copy ("models from code"); nothing is
pickled. A request is `{"dataframe_records": [{"image": "<base64 of a PNG or JPEG>"}, …]}`.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray
from PIL import Image

from ggn.detector import load_detector

LARGEST_PIXELS = 40_000_000  # per image: a photograph of 40 megapixels is 120 MB decoded
LARGEST_BATCH = 16


class ServedDetector(PythonModel):
    """A detector behind MLflow's pyfunc interface; a bad request is answered with status 400."""

    def load_context(self, context: Any) -> None:
        """Load the weights that were logged with the model."""
        self._detector = load_detector(context.artifacts["weights"])

    def predict(  # type: ignore[override]  # MLflow gives the context only if it is named
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the objects of each image, best first.

        Args:
            model_input: a table with a column `image` of base64 strings, one row per image.
            params: `max_instances` per image, and `min_score`.

        Returns:
            for each image `height`, `width` and `instances`: COCO's `bbox`, `score` and
            `segmentation` (compressed RLE).
        """
        wanted = {"max_instances": 100, "min_score": 0.0, **(params or {})}
        if not 1 <= len(model_input) <= LARGEST_BATCH:
            raise _refused(
                f"a request must have 1 to {LARGEST_BATCH} images, got {len(model_input)}"
            )
        if wanted["max_instances"] < 1:
            raise _refused(f"max_instances must be at least 1, got {wanted['max_instances']}")
        images = [_decoded(place, text) for place, text in enumerate(model_input["image"])]
        return [self._found(image, wanted) for image in images]

    def _found(self, image: NDArray[np.uint8], wanted: dict[str, Any]) -> dict[str, Any]:
        found = self._detector.predict(image)
        best = found[found.scores >= wanted["min_score"]][: wanted["max_instances"]]
        height, width = best.image_size_hw
        records = best.to_coco_results(image_id=0)
        kept = ("bbox", "score", "segmentation")
        instances = [{key: record[key] for key in kept} for record in records]
        return {"height": height, "width": width, "instances": instances}


def _decoded(place: int, text: Any) -> NDArray[np.uint8]:
    """Return the pixels of a posted image, uint8 (H, W, 3) RGB."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _refused(f"image {place} is not a base64 string") from None
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if width * height > LARGEST_PIXELS:
                raise _refused(
                    f"image {place} has {width} x {height} pixels; at most {LARGEST_PIXELS} allowed"
                )
            return np.array(image.convert("RGB"))
    except MlflowException:
        raise
    except Exception:  # a decoder's errors have no common type
        raise _refused(f"image {place} is not a complete PNG or JPEG") from None


def _refused(sentence: str) -> MlflowException:
    return MlflowException(sentence, error_code=INVALID_PARAMETER_VALUE)


set_model(ServedDetector())
