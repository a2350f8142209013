"""Checks that a config and a checkpoint are of the same network."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ggn.openmmlab.config import ConfigError

_KINDS = {
    "PairwiseAffinityPredictor": "affinity",
    "MaskRCNN": "detector",
    "FasterRCNN": "detector",
}
_HEADS = {
    "rpn_head": {"RPNHead": "mask_rcnn", "OlnRPNHead": "oln"},
    "roi_head": {"StandardRoIHead": "mask_rcnn", "OlnRoIHead": "oln"},
    "roi_head.bbox_head": {"Shared2FCBBoxHead": "mask_rcnn", "Shared2FCBBoxScoreHead": "oln"},
}
_NAMES = {
    "affinity": "a pairwise affinity network",
    "detector": "a detector",
    "mask_rcnn": "those of Mask R-CNN",
    "oln": "those of OLN",
}
_DEPTHS: dict[tuple[tuple[int, ...], bool], int] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
_NORMS = {"BN": "BatchNorm", "SyncBN": "BatchNorm", "GN": "GroupNorm"}


class Trait(NamedTuple):
    """A trait of a network, and where it is stated."""

    value: Any
    where: str


def model_of_config(values: Mapping[str, Any], config: str | Path) -> dict[str, Any]:
    """Return the part `model` of a config, which must have a supported type.

    Raises:
        ConfigError: it has another type; naming the supported ones.
    """
    model = values.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("type"), str):
        raise ConfigError(f"{config}: must have model = dict(type=…)")
    if model["type"] not in _KINDS:
        raise ConfigError(
            f"{config}: model.type must be one of {', '.join(_KINDS)}, got {model['type']!r}"
        )
    return model


def kind_of_config(model: Mapping[str, Any]) -> str:
    """Return `affinity` or `detector`."""
    return _KINDS[model["type"]]


def heads_of_config(model: Mapping[str, Any], config: str | Path) -> str:
    """Return `mask_rcnn` or `oln`; all parts of a detector must agree.

    Raises:
        ConfigError: a part is not supported or disagrees; naming it and the supported types.
    """
    found: dict[str, str] = {}
    for part, types in _HEADS.items():
        given = _at(model, f"{part}.type")
        if given is not None and given not in types:
            raise ConfigError(
                f"{config}: model.{part}.type must be {' or '.join(types)}, got {given!r}"
            )
        if given is not None:
            found[f"model.{part}.type {given!r}"] = types[given]
    if len(set(found.values())) > 1:
        raise ConfigError(f"{config}: {', '.join(found)} can't be combined")
    return next(iter(found.values()), "mask_rcnn")


def refuse_contradictions(
    model: Mapping[str, Any], state: Mapping[str, Tensor], config: str | Path, weights: str | Path
) -> None:
    """Compare the traits of the network in both files; a trait stated in only one is fine.

    Raises:
        ConfigError: traits differ; naming both files and both values of each.
    """
    theirs = _traits_of_weights(state, weights)
    ours = _traits_of_config(model, config)
    faults = [
        f"{name}: {said.value} in the config ({said.where}), {theirs[name].value} in the weights "
        f"({theirs[name].where})"
        for name, said in ours.items()
        if name in theirs and theirs[name].value != said.value
    ]
    if faults:
        raise ConfigError(
            f"{config} and {weights} are of different networks:\n  " + "\n  ".join(faults)
        )


def _traits_of_config(model: Mapping[str, Any], config: str | Path) -> dict[str, Trait]:
    kind = kind_of_config(model)
    traits = {"network": Trait(_NAMES[kind], f"model.type = {model['type']!r}")}
    norm = _at(model, "backbone.norm_cfg.type") or "BN"
    traits["norm of the backbone"] = _norm(norm, "model.backbone.norm_cfg.type")
    depth = _at(model, "backbone.depth")
    if depth is not None:
        traits["backbone"] = Trait(f"ResNet-{depth}", f"model.backbone.depth = {depth!r}")
    if kind == "affinity":
        traits["norm of the head"] = _norm(
            _at(model, "classifier.norm_type") or "BN", "model.classifier.norm_type"
        )
        return traits
    heads = heads_of_config(model, config)
    rpn = _at(model, "rpn_head.type")
    traits["heads"] = Trait(_NAMES[heads], f"model.rpn_head.type = {rpn!r}")
    mask = _at(model, "roi_head.mask_head")
    traits["mask head"] = Trait("one" if mask else "none", "model.roi_head.mask_head")
    if mask:
        norm = _at(mask, "norm_cfg.type") or "none"
        traits["norm of the mask head"] = _norm(norm, "model.roi_head.mask_head.norm_cfg")
    return traits


def _traits_of_weights(state: Mapping[str, Tensor], weights: str | Path) -> dict[str, Trait]:
    affinity, detector = "classifier.conv_last.1.weight", "roi_head.bbox_head.fc_reg.weight"
    if (affinity in state) == (detector in state):
        raise ConfigError(
            f"{weights}: is not an affinity network or a detector of mmdetection 2.x; one of "
            f"{affinity} and {detector} must be present, and only one"
        )
    kind = "affinity" if affinity in state else "detector"
    traits = {"network": Trait(_NAMES[kind], affinity if kind == "affinity" else detector)}
    traits |= dict(_backbone_of_weights(state))
    if kind == "affinity":
        mean = "classifier.conv_last.0.1.running_mean"
        traits["norm of the head"] = (
            Trait("BatchNorm", mean) if mean in state else Trait("GroupNorm", f"no {mean}")
        )
        return traits
    score = "rpn_head.rpn_obj.weight"
    oln = score in state
    traits["heads"] = Trait(_NAMES["oln" if oln else "mask_rcnn"], score if oln else f"no {score}")
    mask, norm = "roi_head.mask_head.conv_logits.weight", "roi_head.mask_head.convs.0.gn.weight"
    has = mask in state
    traits["mask head"] = Trait("one" if has else "none", mask if has else f"no {mask}")
    if "roi_head.mask_head.convs.0.conv.weight" in state:
        traits["norm of the mask head"] = (
            Trait("GroupNorm", norm) if norm in state else Trait("none", f"no {norm}")
        )
    return traits


def _backbone_of_weights(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Trait]]:
    for key, norm in (("backbone.bn1.weight", "BatchNorm"), ("backbone.gn1.weight", "GroupNorm")):
        if key in state:
            yield "norm of the backbone", Trait(norm, key)
    blocks = tuple(
        len({key.split(".")[2] for key in state if key.startswith(f"backbone.layer{stage}.")})
        for stage in range(1, 5)
    )
    depth = _DEPTHS.get((blocks, "backbone.layer1.0.conv3.weight" in state))
    if depth is not None:
        yield "backbone", Trait(f"ResNet-{depth}", f"{', '.join(map(str, blocks))} blocks")


def _norm(given: Any, where: str) -> Trait:
    return Trait(_NORMS.get(str(given), str(given)), f"{where} = {given!r}")


def _at(place: Any, path: str) -> Any:
    for key in path.split("."):
        place = place.get(key) if isinstance(place, dict) else None
    return place
