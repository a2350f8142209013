"""A config and a checkpoint of OpenMMLab to a folder of our weights and a split of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor

from ggn.affinity.model import AffinityNet
from ggn.affinity.params import AffinityParams
from ggn.data.params import DataParams
from ggn.detector.mask_rcnn import MaskRCNN
from ggn.detector.params import DetectorParams
from ggn.engine.weights import save_weights
from ggn.openmmlab.config import ConfigError, read_config
from ggn.openmmlab.recipe import Recipe, translate
from ggn.openmmlab.weights import load_weights, read_state_dict

_Params = TypeVar("_Params", bound=BaseModel)

_SECTIONS = ("data", "affinity", "grouping", "pseudo_gt", "detector", "evaluation")
_DETECTORS = ("MaskRCNN", "FasterRCNN")


@dataclass
class Conversion:
    """What became of a config: a split for params.yaml, and a line for each unsupported setting."""

    kind: str
    """`detector` or `affinity`, the kind of the weights."""
    split: dict[str, dict[str, Any]]
    """Values that differ from our defaults, by section."""
    unsupported: list[str]


def convert_model(config: str | Path, weights: str | Path, out: str | Path) -> Conversion:
    """Write `weights.safetensors` and `card.json` of a checkpoint with its config to `out`.

    The network is told by the weights. Nothing of the two files is executed.

    Raises:
        ConfigError: a config that cannot be read, or of a model that we don't have.
        WeightsError: a checkpoint that cannot be read or is not of the config's model.
    """
    values = read_config(config)
    state = read_state_dict(weights)
    kind = _kind(values, state, config)
    oln = "rpn_head.rpn_obj.weight" in state
    recipe = translate(values, kind, oln)
    recipe.values.update(_affinity_head(state) if kind == "affinity" else _heads(state, oln))
    network: AffinityNet | MaskRCNN
    params: AffinityParams | DetectorParams
    if kind == "affinity":
        params = _validated(AffinityParams, recipe, kind, config)
        network = AffinityNet(params)
    else:
        params = _validated(DetectorParams, recipe, kind, config)
        network = MaskRCNN(params)
    data = _validated(DataParams, recipe, "data", config)
    load_weights(network, weights)
    card = {
        "kind": kind,
        "params": params.model_dump(),
        "converted_from": {"config": Path(config).name, "weights": Path(weights).name},
        "unsupported": recipe.unsupported,
    }
    save_weights(network, out, card)
    changed: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    changed |= {n: p.model_dump(exclude_defaults=True) for n, p in (("data", data), (kind, params))}
    return Conversion(kind, changed, recipe.unsupported)


def _kind(values: Mapping[str, Any], state: Mapping[str, Tensor], config: str | Path) -> str:
    model = values.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("type"), str):
        raise ConfigError(f"{config}: needs model = dict(type=…)")
    if "classifier.conv_last.1.weight" in state and "roi_head" not in model:
        return "affinity"
    if model["type"] not in _DETECTORS:
        raise ConfigError(
            f"{config}: model.type must be {' or '.join(_DETECTORS)}, or of any name with the "
            f"weights of an affinity network; got {model['type']!r}"
        )
    return "detector"


def _heads(state: Mapping[str, Tensor], oln: bool) -> dict[str, Any]:
    """The kind of the detector's heads, told by the layers that its weights have."""
    masks = any(name.startswith("roi_head.mask_head.") for name in state)
    return {
        **({"detector.heads": "oln"} if oln else {}),
        **({} if masks else {"detector.mask": None}),
    }


def _affinity_head(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes and norms of the affinity network's head, read off its weights."""

    def norm(layer: str) -> str:
        return "batch" if f"classifier.{layer}.1.running_mean" in state else "group"

    pooling, fusion = state.get("classifier.ppm_conv.0.0.weight"), "conv_last.0"
    last = state.get(f"classifier.{fusion}.0.weight")
    return {
        **({} if pooling is None else {"affinity.pool_channels": len(pooling)}),
        **({} if last is None else {"affinity.head_channels": len(last)}),
        "affinity.pool_norm": norm("ppm_conv.0"),
        "affinity.head_norm": norm(fusion),
    }


def _validated(model: type[_Params], recipe: Recipe, section: str, config: str | Path) -> _Params:
    try:
        return model.model_validate(recipe.section(section))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, (section, *fault['loc'])))}: {fault['msg']}, "
            f"got {fault['input']!r}"
            for fault in error.errors()
        ]
        raise ConfigError(
            f"{config}: gives params that are refused:\n  " + "\n  ".join(faults)
        ) from error
