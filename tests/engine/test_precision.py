"""The precision of a training is what its params name, or depends on the kind of device."""

import logging

import pytest
import torch

from ggn.engine import precision
from ggn.engine.precision import choose_precision, warn_if_emulated


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


@pytest.mark.parametrize(
    ("named", "device", "native", "warned"),
    [
        ("bf16-mixed", "cpu", False, True),
        ("16-mixed", "cpu", False, True),
        ("bf16-mixed", "cpu", True, False),
        ("bf16-mixed", "cuda", False, False),
        ("32-true", "cpu", False, False),
        ("auto", "cpu", False, False),
    ],
)
def test_a_processor_that_emulates_a_precision_is_said_once(
    named: str,
    device: str,
    native: bool,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On one without AVX-512 a training in bf16 took 15 times as long as in float32."""
    precision._warn.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "_is_native", lambda half: native)
    with caplog.at_level(logging.WARNING, logger="ggn.engine.precision"):
        for _ in range(2):
            warn_if_emulated(named, device)
    assert [named in record.getMessage() for record in caplog.records] == [True] * warned


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_torch_can_be_asked_what_the_processor_has(half: torch.dtype) -> None:
    assert precision._is_native(half) in (True, False)
