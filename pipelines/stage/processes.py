"""The role of this process: its devices, and whether it writes the files."""

from __future__ import annotations

import os


def predicting_device() -> str:
    """Return the device that this process predicts on: a GPU if there is one."""
    return "cuda" if count_gpus() else "cpu"


def count_gpus() -> int:
    """Return how many GPUs this process sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_main_process() -> bool:
    """Tell whether this is the only process of its stage, or the one that writes its files.

    torchrun, SLURM and Lightning number the processes of one training in these variables.
    """
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)
