"""What a network computes on: a GPU where there is one, unless somebody says otherwise."""

from __future__ import annotations

import re

import torch


def chosen_device(name: str) -> str:
    """Return `cpu`, `cuda` or `cuda:N` for one of them or `auto`: a GPU if there is one.

    Raises:
        ValueError: it is none of these, or a GPU that is not there.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name == "cpu":
        return name
    number = re.fullmatch(r"cuda(?::(\d{1,4}))?", name)
    if number is None:
        raise ValueError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if int(number[1] or 0) >= gpus:
        raise ValueError(f"device {name}: no such device; PyTorch sees {gpus} GPUs")
    return name
