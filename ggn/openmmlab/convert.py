"""Converts a config and a checkpoint of OpenMMLab to our weights and a split of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import Tensor

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.data.params import DataParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import WeightsError, save_weights
from ggn.grouping.params import GroupingParams
from ggn.openmmlab.config import ConfigError, read_config
from ggn.openmmlab.identity import (
    heads_of_config,
    kind_of_config,
    model_of_config,
    refuse_contradictions,
)
from ggn.openmmlab.recipe import Recipe, translate
from ggn.openmmlab.weights import load_checkpoint, read_state_dict
from ggn.pseudo_gt.params import PseudoGtParams

_SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataParams,
    "affinity": AffinityParams,
    "grouping": GroupingParams,
    "pseudo_gt": PseudoGtParams,
    "detector": DetectorParams,
}


@dataclass
class Conversion:
    """The result of a conversion: a split for params.yaml, and remarks about it."""

    kind: str
    """`detector` or `affinity`, the kind of the weights."""
    split: dict[str, dict[str, Any]]
    """Values that differ from our defaults, by section."""
    unsupported: list[str] = field(default_factory=list)
    """A line for each setting without a counterpart."""
    warnings: list[str] = field(default_factory=list)
    """Reasons why the config's own results are doubtful."""
    notes: list[str] = field(default_factory=list)
    """What is left to do by hand."""


def convert_model(config: str | Path, weights: str | Path, out: str | Path) -> Conversion:
    """Write `weights.safetensors` and `card.json` of a checkpoint with its config to `out`.

    Nothing of the two files is executed.

    Raises:
        ConfigError: the config cannot be read, or describes an unsupported model or another one
            than the weights.
        WeightsError: the checkpoint cannot be read, or has other layers than the config.
    """
    values = read_config(config)
    model = model_of_config(values, config)
    kind = kind_of_config(model)
    oln = kind == "detector" and heads_of_config(model, config) == "oln"
    state = read_state_dict(weights)
    recipe = translate(values, kind, oln)
    if kind == "affinity":
        recipe.values.update(_affinity_head(state))
    else:
        recipe.values |= {"detector.heads": "oln"} if oln else {}
        recipe.values |= {} if _has_masks(model) else {"detector.mask": None}
    sections: dict[str, Any] = {name: _validated(recipe, name, config) for name in _SECTIONS}
    refuse_contradictions(model, state, config, weights)
    params = sections[kind]
    network = AffinityNet(params) if kind == "affinity" else MaskRCNN(params)
    try:
        load_checkpoint(network, weights)
    except WeightsError as error:
        raise WeightsError(f"{config} does not describe these weights: {error}") from error
    card = {
        "kind": kind,
        "params": params.model_dump(),
        "converted_from": {"config": Path(config).name, "weights": Path(weights).name},
        "unsupported": recipe.unsupported,
        "warnings": recipe.warnings,
    }
    save_weights(network, out, card)
    split = {name: section.model_dump(exclude_defaults=True) for name, section in sections.items()}
    split["evaluation"] = {}
    return Conversion(kind, split, recipe.unsupported, recipe.warnings, recipe.notes)


def _has_masks(model: Mapping[str, Any]) -> bool:
    roi_head = model.get("roi_head")
    return isinstance(roi_head, dict) and bool(roi_head.get("mask_head"))


def _affinity_head(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the sizes of the affinity network's head and the norm of its pooling off its weights.

    Its config states neither.
    """
    pooling = state.get("classifier.ppm_conv.0.0.weight")
    last = state.get("classifier.conv_last.0.0.weight")
    batch = "classifier.ppm_conv.0.1.running_mean" in state
    return {
        **({} if pooling is None else {"affinity.pool_channels": len(pooling)}),
        **({} if last is None else {"affinity.head_channels": len(last)}),
        "affinity.pool_norm": "batch" if batch else "group",
    }


def _validated(recipe: Recipe, section: str, config: str | Path) -> BaseModel:
    try:
        return _SECTIONS[section].model_validate(recipe.section(section))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, (section, *fault['loc'])))}: {fault['msg']}, "
            f"got {fault['input']!r}"
            for fault in error.errors()
        ]
        raise ConfigError(
            f"{config}: gives params that are refused:\n  " + "\n  ".join(faults)
        ) from error
