"""The reference's networks, with its settings, ready for its weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.affinity.predict import AffinityPredictor
from ggn.core import Instances
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.detector.predict import Detector

# Differences from the defaults of our params, which are the reference's recipe.
_AFFINITY: dict[str, Any] = {"pool_norm": "batch"}
_DETECTORS: dict[str, dict[str, Any]] = {
    "maskrcnn": {},
    "maskrcnn_gn": {
        "backbone": {"norm": "group", "weights": None, "frozen_stages": 0},
        "mask": {"norm": "group"},
        "epochs": 24,
        "schedule": "cosine",
    },
    "oln_box": {"heads": "oln", "mask": None},
    "oln_mask": {"heads": "oln"},
}
MODEL_KINDS = ("pa", *_DETECTORS)


class ReferenceAffinity(AffinityNet):
    """The affinity network with the reference's normalisation."""

    def predict(self, image: NDArray[np.uint8], resize: bool = True) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the affinity (H, W), float32 in [0, 1], of an RGB image uint8 (H, W, 3).

        The reference neither resizes nor pads, whatever `resize` says. Switches to evaluation mode.
        """
        return AffinityPredictor(self, _device(self), "32-true").predict(image)


class ReferenceDetector(MaskRCNN):
    """A class-agnostic detector with the reference's settings."""

    def predict(self, image: NDArray[np.uint8], resize: bool = True) -> Instances:
        """Return the objects found in an RGB image uint8 (H, W, 3), best first, at its own size.

        Resized to fit 1333 × 800 unless `resize` is false, then padded right and below to
        multiples of 32. Switches to evaluation mode; all arithmetic is float32.
        """
        return Detector(self, _device(self), "32-true").predict(image, resize)


def build_model(kind: str) -> ReferenceAffinity | ReferenceDetector:
    """Return a network of the reference with random weights, on the CPU.

    Args:
        kind: `pa` (pairwise affinity), `maskrcnn`, `maskrcnn_gn` (GroupNorm, for training from
            random weights), `oln_box` (no masks), `oln_mask`.

    Raises:
        ValueError: naming the kinds there are.
    """
    params = model_params(kind)
    if isinstance(params, AffinityParams):
        return ReferenceAffinity(params)
    return ReferenceDetector(params)


def model_params(kind: str) -> AffinityParams | DetectorParams:
    """Return the settings of a network of the reference; kinds and errors as in `build_model`."""
    if kind == "pa":
        return AffinityParams.model_validate(_AFFINITY)
    if kind in _DETECTORS:
        return DetectorParams.model_validate(_DETECTORS[kind])
    raise ValueError(f"kind must be one of {', '.join(MODEL_KINDS)}, got {kind!r}")


def _device(network: nn.Module) -> str:
    return str(next(network.parameters()).device)
