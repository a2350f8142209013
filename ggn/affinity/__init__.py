"""Pairwise affinity: which pixels belong to the same object, learned from annotated ones."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggn.affinity.evaluate import AffinityErrors
    from ggn.affinity.params import AffinityParams
    from ggn.affinity.predict import AffinityPredictor, load_affinity
    from ggn.affinity.train import train_affinity

__all__ = [
    "AffinityErrors",
    "AffinityParams",
    "AffinityPredictor",
    "load_affinity",
    "train_affinity",
]

_MODULES = {
    "AffinityErrors": "evaluate",
    "AffinityParams": "params",
    "AffinityPredictor": "predict",
    "load_affinity": "predict",
    "train_affinity": "train",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `ggn.affinity.params` needs no torch (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
