"""The arithmetic of a network: full or half precision."""

import logging
from functools import cache

import torch

_HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_log = logging.getLogger(__name__)


def choose_precision(precision: str = "auto") -> str:
    """Return Lightning's name of the precision; `auto`: bf16-mixed on a GPU that has it.

    On a CPU `auto` is 32-true, also where bf16 would be faster: there, results must not depend on
    the kind of processor.
    """
    if precision != "auto":
        return precision
    on_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16-mixed" if on_gpu else "32-true"


def half_dtype(precision: str) -> torch.dtype | None:
    """Return the type that a precision multiplies in, None for float32."""
    return _HALF.get(choose_precision(precision))


def warn_if_emulated(precision: str, device_type: str) -> None:
    """Warn, once per process, where a CPU has no instructions for a half precision.

    Args:
        precision: as in params.
        device_type: `cpu`, or of a GPU, about which nothing is said.
    """
    half = half_dtype(precision)
    if half is not None and device_type == "cpu" and not _is_native(half):
        _warn(choose_precision(precision))


def _is_native(half: torch.dtype) -> bool:
    """Return whether the library behind torch's convolutions on a CPU multiplies in this type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    name = "bf16" if half is torch.bfloat16 else "fp16"
    return bool(getattr(torch.ops.mkldnn, f"_is_mkldnn_{name}_supported")())


@cache
def _warn(precision: str) -> None:
    _log.warning(
        "precision is %s, which this processor has no instructions for: emulated, it takes many "
        "times as long as 32-true, whose results differ by rounding alone",
        precision,
    )
