"""Translates the settings of an mmdetection 2.x config to the sections of a split."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ggn.openmmlab.datasets import (
    READ_HERE,
    Setting,
    dataset_faults,
    dataset_notes,
    dataset_settings,
    dataset_warnings,
)
from ggn.openmmlab.detector_settings import DETECTOR, OLN
from ggn.openmmlab.method_settings import METHOD
from ggn.openmmlab.network_settings import (
    AFFINITY,
    DEFAULTS,
    EFFECTIVE,
    OPTIMIZER_DEFAULTS,
    SIZE,
    TRAINING,
    WITHOUT_EFFECT,
)
from ggn.openmmlab.rules import Rule, UnsupportedError, nested

GPUS = 8
"""Devices of the reference's runs, where a config does not list its own: it states the images of
one device."""
_SHOWN = 80
"""Characters of a value that a message shows."""


@dataclass
class Recipe:
    """Values by key of params.yaml (`detector.rpn.samples`), and remarks on other settings."""

    values: dict[str, Any] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)
    """A line for each setting that we don't have."""
    warnings: list[str] = field(default_factory=list)
    """What makes the config's own results doubtful."""
    notes: list[str] = field(default_factory=list)
    """What is left to do by hand."""

    def section(self, name: str) -> dict[str, Any]:
        """Return the values of one section, nested as in params.yaml."""
        content: dict[str, Any] = {}
        for key, value in self.values.items():
            section, *parents, last = key.split(".")
            if section == name:
                place = content
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = value
        return content


def translate(config: Mapping[str, Any], section: str, oln: bool = False) -> Recipe:
    """Translate every setting of a config that changes the result, or report it.

    A setting is named by its path: `model.neck.out_channels`. Each dict in a list is named by its
    `type`. The validation and test pipelines count as one: `test_pipeline.Pad.type`.

    Args:
        config: as `read_config` returns it.
        section: the kind of network, `detector` or `affinity`.
        oln: whether the detector has OLN's heads.
    """
    rules = _rules(section, oln)
    recipe = Recipe(warnings=list(dataset_warnings(config)), notes=list(dataset_notes(config)))
    known: set[tuple[str, str]] = set()
    given = [*_with_defaults(list(_settings(config)), oln), *dataset_settings(config)]
    for setting in _joined(given, _devices(config)):
        if (setting.name, repr(setting.value)) not in known:
            known.add((setting.name, repr(setting.value)))
            _apply(setting, rules, recipe)
    recipe.unsupported += dataset_faults(config)
    _complete(recipe, section)
    return recipe


def _rules(section: str, oln: bool) -> dict[str, Rule]:
    """The rule of each setting, with keys that begin with a section."""
    own = {**TRAINING, **(AFFINITY if section == "affinity" else DETECTOR), **(OLN if oln else {})}
    return {
        **{name: _of_section(section, rule) for name, rule in own.items()},
        **{name: _of_section("detector", rule) for name, rule in SIZE.items()},
        **METHOD,
    }


def _of_section(section: str, rule: Rule) -> Rule:
    return lambda value: list(nested(section, dict(rule(value))).items())


def _settings(config: Mapping[str, Any]) -> Iterator[Setting]:
    for path, value in _flat({k: v for k, v in config.items() if k in EFFECTIVE}, ""):
        name = re.sub(r"^(train_cfg|test_cfg)\.", r"model.\1.", path)
        name = re.sub(r"^data\.train\.pipeline\.", "pipeline.", name)
        name = re.sub(
            r"^data\.\w+\.pipeline\.(MultiScaleFlipAug\.transforms\.)?", "test_pipeline.", name
        )
        if not re.fullmatch(rf"data\.(train|val|test)\.({'|'.join(READ_HERE)})", name):
            yield Setting(path, name, value)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _flat(entry, f"{prefix}{key}")
    elif isinstance(value, list | tuple) and value and all(isinstance(v, dict) for v in value):
        for place, entry in enumerate(value):
            yield from _flat(entry, f"{prefix}{entry.get('type', place)}")
    else:
        yield path, _as_lists(value)


def _as_lists(value: Any) -> Any:
    return (
        [_as_lists(entry) for entry in value] if isinstance(value, list | tuple | range) else value
    )


def _with_defaults(given: list[Setting], oln: bool) -> Iterator[Setting]:
    values = {setting.name: setting.value for setting in given}
    yield from given
    optimizer = values.get("optimizer.type")
    silent = {**DEFAULTS, "optimizer": OPTIMIZER_DEFAULTS.get(str(optimizer), {})}
    for part, defaults in silent.items():
        if any(name.startswith(f"{part}.") for name in values):
            for key, value in defaults.items():
                stated = oln and key == "loss_bbox.type"  # OLN's heads have losses of their own
                if f"{part}.{key}" not in values and not stated:
                    yield Setting(f"{part}.{key} (not given)", f"{part}.{key}", value)


def _devices(config: Mapping[str, Any]) -> int:
    gpus = config.get("gpu_ids")
    return len(gpus) if isinstance(gpus, list | tuple | range) and len(gpus) > 0 else GPUS


def _joined(given: Iterable[Setting], devices: int) -> Iterator[Setting]:
    """Join settings that have a meaning only together."""
    given = list(given)
    values = {setting.name: setting.value for setting in given}
    norm_eval = values.get("model.backbone.norm_eval", True)
    undecayed = {f"optimizer.paramwise_cfg.{kind}_decay_mult" for kind in ("norm", "bias")}
    for setting in given:
        if setting.name == "model.backbone.norm_cfg.type":
            fixed = ", norm_eval" if setting.value == "BN" and norm_eval else ""
            yield setting._replace(name="model.backbone.norm", value=f"{setting.value}{fixed}")
        elif setting.name == "data.samples_per_gpu" and isinstance(setting.value, int):
            yield setting._replace(name="batch_size", value=setting.value * devices)
        elif setting.name == "lr_config.step" and isinstance(setting.value, int):
            epochs = values.get("total_epochs", values.get("runner.max_epochs"))
            yield setting._replace(value=_every(setting.value, epochs))
        elif setting.name in undecayed and all(values.get(name) == 0 for name in undecayed):
            yield setting._replace(name="optimizer.decay_norm_and_bias", value=False)
        elif setting.name != "model.backbone.norm_eval":
            yield setting


def _every(step: int, epochs: Any) -> list[int]:
    """Return the milestones of a single step, which mmcv takes as the epochs between two drops."""
    return list(range(step, epochs, step)) if isinstance(epochs, int) and step > 0 else [step]


def _apply(setting: Setting, rules: Mapping[str, Rule], recipe: Recipe) -> None:
    shown = repr(setting.value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    said = f"{setting.path} = {shown}"
    if setting.name not in rules:
        without_effect = any(re.fullmatch(pattern, setting.name) for pattern in WITHOUT_EFFECT)
        if setting.value not in (None, []) and not without_effect:
            recipe.unsupported.append(f"{said}: has no counterpart")
        return
    try:
        pairs = rules[setting.name](setting.value)
    except UnsupportedError as error:
        recipe.unsupported.append(f"{said}: {error}")
        return
    for key, value in pairs:
        settled = recipe.values.setdefault(key, value)
        if settled != value:
            recipe.unsupported.append(f"{said}: {key} is already {settled!r}")


def _complete(recipe: Recipe, section: str) -> None:
    """Fill in what params.yaml requires, and make related settings consistent."""
    values = recipe.values
    if f"{section}.batch_size" in values:
        values[f"{section}.lr_batch_size"] = values[f"{section}.batch_size"]
    weights, frozen = f"{section}.backbone.weights", f"{section}.backbone.frozen_stages"
    if values.setdefault(weights, None) is None:
        if values.get(f"{section}.backbone.norm") == "frozen_batch":
            values[weights] = "imagenet"
            recipe.unsupported.append(
                "model.pretrained is None: what is frozen needs pretrained weights; "
                f"{weights} is 'imagenet'"
            )
        elif values.get(frozen, 0) > 0:
            recipe.unsupported.append(
                f"model.backbone.frozen_stages = {values[frozen]}: with random initial weights "
                f"(model.pretrained is None) all stages must learn; {frozen} is 0"
            )
            values[frozen] = 0
    if section == "affinity" and "detector.max_size" in values:
        recipe.notes.append(
            "the size in the pipelines is detector.max_size; the affinity network sees an image "
            "at its own size, times affinity.image_scale"
        )
    if values.get("pseudo_gt.rank") == "oln":
        recipe.notes.append(
            "pa_to_masks.oln_ranker_path: the candidates are ranked by the baseline of the split, "
            "so detector.heads is 'oln'; `inherited` in params.yaml needs the line "
            "{split: NAME, section: pseudo_gt, from: models/NAME/baseline}"
        )
