"""The class-agnostic detector: what a caller of this package needs, imported when first used.

`ggn.detector.params` must be importable without torch, hence the lazy exports (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggn.detector.mask_rcnn import MaskRCNN
    from ggn.detector.params import DetectorParams
    from ggn.detector.predict import Detector, load_detector
    from ggn.detector.train import train_detector

__all__ = ["Detector", "DetectorParams", "MaskRCNN", "load_detector", "train_detector"]

_MODULE_OF = {
    "Detector": "predict",
    "DetectorParams": "params",
    "MaskRCNN": "mask_rcnn",
    "load_detector": "predict",
    "train_detector": "train",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
