"""What a network computes on: a GPU where there is one, unless somebody says otherwise."""

from __future__ import annotations

import pytest
import torch

from ggn.engine.devices import chosen_device


@pytest.mark.parametrize("gpus", [0, 2])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert chosen_device("auto") == ("cuda" if gpus else "cpu")
    assert chosen_device("cpu") == "cpu"
    if gpus:
        assert chosen_device("cuda:1") == "cuda:1"
    with pytest.raises(
        ValueError, match=f"device cuda:2: no such device; PyTorch sees {gpus} GPUs"
    ):
        chosen_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:x", "mps", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or cuda:N, got"):
        chosen_device(name)
