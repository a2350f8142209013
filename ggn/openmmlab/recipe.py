"""From the settings of an mmdetection 2.x config to the sections of a split in params.yaml."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ggn.openmmlab import settings
from ggn.openmmlab.settings import Rule, UnsupportedError

GPUS = 8
"""Devices of the reference's runs: a config states the images of one device."""


class Setting(NamedTuple):
    """A value of a config: where it stands, and the name that the tables know it by."""

    path: str
    name: str
    value: Any


@dataclass
class Recipe:
    """Values by key of params.yaml (`detector.rpn.samples`), and a line for each other setting."""

    values: dict[str, Any] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """Return the values of one section, nested as in params.yaml."""
        nested: dict[str, Any] = {}
        for key, value in self.values.items():
            section, *parents, last = key.split(".")
            if section == name:
                place = nested
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = value
        return nested


def translate(config: Mapping[str, Any], section: str, oln: bool = False) -> Recipe:
    """Translate every setting of a config that changes the result, or report it.

    A setting is named by its path: `model.neck.out_channels`. Of a list of dicts, each is named by
    its `type`, and the steps for training and test images are one: `pipeline.Resize.img_scale`.

    Args:
        config: of `read_config`.
        section: what the config is of, `detector` or `affinity`.
        oln: whether the detector has OLN's heads.
    """
    rules = _rules(section, oln)
    recipe = Recipe()
    known: set[tuple[str, str]] = set()
    for setting in _joined(_with_defaults(list(_settings(config)))):
        if (setting.name, repr(setting.value)) not in known:
            known.add((setting.name, repr(setting.value)))
            _apply(setting, rules, recipe)
    _complete(recipe, section)
    return recipe


def _rules(section: str, oln: bool) -> dict[str, tuple[str, Rule]]:
    """The section that each setting belongs to, and its rule."""
    own = {
        **settings.TRAINING,
        **(settings.DETECTOR if section == "detector" else {}),
        **(settings.OLN if oln else {}),
    }
    return {
        **{name: (section, rule) for name, rule in own.items()},
        **{name: ("data", rule) for name, rule in settings.DATA.items()},
    }


def _settings(config: Mapping[str, Any]) -> Iterator[Setting]:
    for path, value in _flat({k: v for k, v in config.items() if k in settings.EFFECTIVE}, ""):
        name = re.sub(r"^(train_cfg|test_cfg)\.", r"model.\1.", path)
        name = re.sub(
            r"^data\.\w+\.pipeline\.(MultiScaleFlipAug\.transforms\.)?", "pipeline.", name
        )
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
    return [_as_lists(entry) for entry in value] if isinstance(value, list | tuple) else value


def _with_defaults(given: list[Setting]) -> Iterator[Setting]:
    names = {setting.name for setting in given}
    yield from given
    for part, defaults in settings.DEFAULTS.items():
        if any(name.startswith(f"{part}.") for name in names):
            for key, value in defaults.items():
                if f"{part}.{key}" not in names:
                    yield Setting(f"{part}.{key} (not given)", f"{part}.{key}", value)


def _joined(given: Iterable[Setting]) -> Iterator[Setting]:
    """Settings that mean something together become one."""
    given = list(given)
    norm_eval = {s.name: s.value for s in given}.get("model.backbone.norm_eval", True)
    for setting in given:
        if setting.name == "model.backbone.norm_cfg.type":
            fixed = ", norm_eval" if setting.value == "BN" and norm_eval else ""
            yield setting._replace(name="model.backbone.norm", value=f"{setting.value}{fixed}")
        elif setting.name == "data.samples_per_gpu" and isinstance(setting.value, int):
            yield setting._replace(name="batch_size", value=setting.value * GPUS)
        elif setting.name != "model.backbone.norm_eval":
            yield setting


def _apply(setting: Setting, rules: dict[str, tuple[str, Rule]], recipe: Recipe) -> None:
    shown = f"{setting.path} = {setting.value!r}"
    if setting.name not in rules:
        if not any(re.fullmatch(pattern, setting.name) for pattern in settings.WITHOUT_EFFECT):
            recipe.unsupported.append(f"{shown}: nothing of ours corresponds")
        return
    section, rule = rules[setting.name]
    try:
        pairs = rule(setting.value)
    except UnsupportedError as error:
        recipe.unsupported.append(f"{shown}: {error}")
        return
    for key, value in pairs:
        settled = recipe.values.setdefault(f"{section}.{key}", value)
        if settled != value:
            recipe.unsupported.append(f"{shown}: {section}.{key} is {settled!r} already")


def _complete(recipe: Recipe, section: str) -> None:
    """Fill in what params.yaml cannot do without."""
    values = recipe.values
    if f"{section}.batch_size" in values:
        values[f"{section}.lr_batch_size"] = values[f"{section}.batch_size"]
    weights = f"{section}.backbone.weights"
    if values.setdefault(weights, None) is None and (
        values.get(f"{section}.backbone.norm") == "frozen_batch"
        or values.get(f"{section}.backbone.frozen_stages", 0) > 0
    ):
        values[weights] = "imagenet"
        recipe.unsupported.append(
            f"model.pretrained is None: what is frozen needs pretrained weights; {weights} is "
            "'imagenet'"
        )
    if "data.seen" not in values:
        recipe.unsupported.append("data.train.train_class is not given: data.seen stays 'voc'")
    root = values.setdefault("data.root", ".")
    for name in ("train_annotations", "train_images", "val_annotations", "val_images"):
        if f"data.{name}" in values:
            values[f"data.{name}"] = values[f"data.{name}"].removeprefix(f"{root}/")
