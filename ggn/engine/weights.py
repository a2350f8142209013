"""Trained weights on disk: a folder with `weights.safetensors` and the `card.json` they go with."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ggn.core.files import replaced

WEIGHTS_FILES = ("weights.safetensors", "card.json")
"""What a weights folder holds."""


class WeightsError(ValueError):
    """A weights folder that is missing, damaged or of another kind."""


def save_weights(
    module: nn.Module,
    folder: str | Path,
    card: dict[str, Any],
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write the module's state and its card; each file appears whole or not at all.

    Args:
        module: of the weights.
        folder: gets `weights.safetensors` and `card.json`.
        card: JSON data that says what the weights are: at least `kind` ("affinity", "detector").
            The precision and the SHA-256 of the weights are added to it, so that files of two runs
            are never taken together.
        dtype: how floating-point values are stored. The loaders make them float32 again.

    Raises:
        WeightsError: a value is not finite, or too large for float16.
    """
    if not isinstance(card.get("kind"), str):
        raise ValueError(f"a card must have the key kind, got keys {sorted(card)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = torch.float16 if dtype == "float16" else torch.float32
    state = {
        key: value.detach()
        .to("cpu", stored if value.is_floating_point() else value.dtype)
        .contiguous()
        for key, value in module.state_dict().items()
    }
    _refuse_non_finite(state, folder)
    blob = safetensors.torch.save(state)
    card = {**card, "precision": dtype, "weights_sha256": hashlib.sha256(blob).hexdigest()}
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    _replace(folder / "weights.safetensors", blob)
    _replace(folder / "card.json", text.encode())


def load_weights(folder: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (state dict, card) of a folder that `save_weights` wrote, or raise WeightsError."""
    folder = Path(folder)
    card = _read_card(folder / "card.json")
    if card.get("kind") != kind:
        raise WeightsError(f"{folder}: holds {_named(card.get('kind'))}, not {_named(kind)}")
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    blob = path.read_bytes()
    if hashlib.sha256(blob).hexdigest() != card.get("weights_sha256"):
        raise WeightsError(f"{path}: damaged, or not the weights that card.json describes")
    try:
        state = safetensors.torch.load(blob)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file ({error})") from error
    _refuse_non_finite(state, folder)
    return state, card


def adopt_weights(source: str | Path, folder: str | Path, kind: str) -> dict[str, Any]:
    """Copy a checked weights folder as it is and return its card, or raise WeightsError."""
    _, card = load_weights(source, kind)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in WEIGHTS_FILES:
        _replace(folder / name, (Path(source) / name).read_bytes())
    return card


def _named(kind: Any) -> str:
    names = {"affinity": "an affinity network", "detector": "a detector"}
    return names.get(kind, f"weights of the unknown kind {kind!r}")


def _read_card(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; a weights folder has weights and card.json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: must be a JSON object, got {type(card).__name__}")
    return card


def _refuse_non_finite(state: dict[str, Tensor], folder: Path) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{folder}: {key} has values that are not finite")


def _replace(path: Path, blob: bytes) -> None:
    with replaced(path) as temporary:
        temporary.write_bytes(blob)
