"""The arithmetic of a network: full or half precision."""

import torch

_HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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
