"""The precision of a training is what its params name, or depends on the kind of device."""

import pytest
import torch

from ggn.engine.precision import choose_precision


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_named_precision_is_taken(name: str) -> None:
    assert choose_precision(name) == name


@pytest.mark.parametrize(
    ("cuda", "cuda_bf16", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "32-true"), (False, True, "32-true")],
)
def test_auto_precision(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, cuda_bf16: bool, expected: str
) -> None:
    """On a CPU always float32, whatever the processor: results must not depend on its kind."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: cuda_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert choose_precision() == expected
