"""The bridge to OpenMMLab: checkpoints in mmdetection 2.x names, the reference's models, configs.

Nothing here needs mmcv-full; it is what the tests compare ours with.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggn.openmmlab.config import read_config
    from ggn.openmmlab.convert import convert_model
    from ggn.openmmlab.models import build_model
    from ggn.openmmlab.weights import load_weights, save_weights

__all__ = ["build_model", "convert_model", "load_weights", "read_config", "save_weights"]

_MODULE_OF = {
    "build_model": "models",
    "convert_model": "convert",
    "load_weights": "weights",
    "read_config": "config",
    "save_weights": "weights",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
