"""Weights are written whole, read back equal, and refused if anything about them is damaged."""

import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from ggn.engine.weights import WeightsError, load_weights, save_weights

CARD = {"kind": "affinity", "params": {"lr": 0.02}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), tmp_path / "w", CARD)
    return tmp_path / "w"


def test_round_trip(folder: Path) -> None:
    state, card = load_weights(folder, "affinity")
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    assert {key: card[key] for key in CARD} == CARD


def test_nothing_else_is_left_in_the_folder(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "weights.safetensors"]


def test_channels_last_weights_are_saved_with_their_values(tmp_path: Path) -> None:
    module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    save_weights(module, tmp_path, CARD)
    assert torch.equal(load_weights(tmp_path, "affinity")[0]["weight"], module.weight)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    for name in "ab":
        save_weights(module, tmp_path / name, CARD)
    for file in ("weights.safetensors", "card.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def damage_missing_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def damage_missing_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def damage_truncated(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def damage_other_run(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(
        safetensors.torch.save({"0.weight": torch.zeros(2, 3)})
    )


def damage_card_cut(folder: Path) -> None:
    path = folder / "card.json"
    path.write_text(path.read_text()[:20])


def damage_card_list(folder: Path) -> None:
    (folder / "card.json").write_text("[]")


def damage_kind(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "kind": "detector"}))


def damage_no_safetensors(folder: Path) -> None:
    import hashlib

    (folder / "weights.safetensors").write_bytes(b"PK pickle")
    card = json.loads((folder / "card.json").read_text())
    card["weights_sha256"] = hashlib.sha256(b"PK pickle").hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing_weights, r"weights\.safetensors: no such file"),
        (damage_missing_card, r"card\.json: no such file"),
        (damage_truncated, r"weights\.safetensors: damaged"),
        (damage_other_run, r"not the weights that card\.json describes"),
        (damage_card_cut, r"card\.json: not JSON"),
        (damage_card_list, r"card\.json: must be a JSON object, got list"),
        (damage_kind, "holds a detector, not an affinity network"),
        (damage_no_safetensors, r"weights\.safetensors: not a safetensors file"),
    ],
)
def test_refuses_a_damaged_folder(folder: Path, damage: object, message: str) -> None:
    damage(folder)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message):
        load_weights(folder, "affinity")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_neither_written_nor_read(
    tmp_path: Path, value: float
) -> None:
    module = nn.Linear(3, 2)
    nn.init.constant_(module.bias, value)
    with pytest.raises(WeightsError, match="bias has values that are not finite"):
        save_weights(module, tmp_path, CARD)
    assert not list(tmp_path.iterdir())


def test_a_card_must_say_its_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must have the key kind, got keys \['params'\]"):
        save_weights(nn.Linear(1, 1), tmp_path, {"params": {}})


def test_weights_stored_in_half_precision_come_back_close_and_say_so(tmp_path: Path) -> None:
    module = nn.BatchNorm1d(3)
    nn.init.constant_(module.weight, 1 + 2**-12)
    save_weights(module, tmp_path / "whole", {"kind": "detector"})
    save_weights(module, tmp_path / "half", {"kind": "detector"}, "float16")
    (whole, whole_card), (half, half_card) = (
        load_weights(tmp_path / name, "detector") for name in ("whole", "half")
    )
    assert (whole_card["precision"], half_card["precision"]) == ("float32", "float16")
    assert (whole["weight"].dtype, half["weight"].dtype) == (torch.float32, torch.float16)
    assert half["num_batches_tracked"].dtype == torch.int64, "a count is no fraction"
    assert whole["weight"][0] == 1 + 2**-12
    assert half["weight"][0] == 1
    module.load_state_dict(half)
    assert module.weight.dtype == torch.float32


def test_a_value_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.bias, 7e4)
    with pytest.raises(WeightsError, match="bias has values that are not finite"):
        save_weights(module, tmp_path, {"kind": "detector"}, "float16")
    assert list(tmp_path.iterdir()) == []
