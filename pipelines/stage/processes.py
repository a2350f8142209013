"""What this process is: its devices, and whether it is the one that writes."""

from __future__ import annotations

import os


def predicting_device() -> str:
    """Return the device that this process predicts on: the GPU where there is one."""
    return "cuda" if count_gpus() else "cpu"


def count_gpus() -> int:
    """Return how many GPUs this process sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_main_process() -> bool:
    """Tell whether this process is the only one of its stage or the one that writes its files.

    torchrun, SLURM and Lightning number the processes of one training in these variables.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)
