"""params.yaml: read, validated section by section, refused key by key."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

SECTIONS = ("data", "affinity", "grouping", "pseudo_gt", "detector", "evaluation")
PARAMS_FILE = Path("params.yaml")


class ParamsError(ValueError):
    """params.yaml is refused; the message names each key, its value and what is allowed."""


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read params.yaml as YAML 1.2 (YAML 1.1 reads `1e-3` as a string and `no` as false)."""
    try:
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(
            path.read_text(encoding="utf-8")
        )
    except FileNotFoundError:
        raise ParamsError(f"{path}: not found; run from the repository root") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    for key in ("seed", "active", "defaults", "splits"):
        if not isinstance(document, dict) or key not in document:
            raise ParamsError(f"{path}: has no key '{key}'")
    _require_names(path, document["splits"] or {}, document["active"])
    seed = document["seed"]
    if type(seed) is not int or seed < 0:
        raise ParamsError(f"{path}: seed: must be an integer >= 0, got {seed!r}")
    return document


def _require_names(path: Path, splits: Any, active: Any) -> None:
    """Refuse names that can't be a folder, a DVC stage and a key of its params."""
    if not isinstance(splits, dict):
        raise ParamsError(f"{path}: splits: must be a mapping by name, got {splits!r}")
    for name in splits:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", name):
            raise ParamsError(
                f"{path}: splits: a name must be a string of letters, digits, _ and - "
                f"(digits alone in quotes), got {name!r}"
            )
    if active is not None and not isinstance(active, list):
        raise ParamsError(f"{path}: active: must be a list such as [shapes], got {active!r}")


def load_params(split: str, document: Mapping[str, Any] | None = None) -> dict[str, BaseModel]:
    """Validate every section of `split` and return them by name.

    Every stage checks all sections, so that a misspelt detector option is refused before the first
    training rather than after it. Sections are imported by name: their rules change what a stage
    accepts, never what it computes, so they are not DVC dependencies of other stages.

    Raises:
        ParamsError: naming each faulty key such as `splits.coco_voc.detector.learning_rate`.
    """
    document = read_params() if document is None else document
    defaults, splits = document["defaults"] or {}, document["splits"] or {}
    if split not in splits:
        raise ParamsError(f"splits.{split}: no such split; there are {', '.join(sorted(splits))}")
    faults = [
        f"{place}.{name}: no such section; allowed are {', '.join(SECTIONS)}"
        for place, sections in (("defaults", defaults), (f"splits.{split}", splits[split] or {}))
        for name in sections
        if name not in SECTIONS
    ]
    sections = {}
    for name in SECTIONS:
        given, own = defaults.get(name) or {}, (splits[split] or {}).get(name)
        if not isinstance(own, dict):
            got = "nothing" if own is None else repr(own)
            faults.append(f"splits.{split}.{name}: must be a mapping ({{}} if empty), got {got}")
            continue
        try:
            sections[name] = params_model(name).model_validate(_merged(given, own))
        except ValidationError as error:
            faults += [_sentence(split, name, own, fault) for fault in error.errors()]
    if not faults:
        values = {name: section.model_dump() for name, section in sections.items()}
        faults += _without_source(split, values, document.get("inherited") or [])
    if faults:
        raise ParamsError(f"{PARAMS_FILE}:\n  " + "\n  ".join(faults))
    return sections


def _without_source(
    split: str, sections: Mapping[str, dict[str, Any]], inherited: list[Any]
) -> Iterator[str]:
    if not sections["affinity"]["train"] and sections["grouping"]["candidates_from"] is None:
        needed = f"splits.{split}.grouping.candidates_from"
        yield f"splits.{split}.affinity.train: false needs masks from another source: {needed}"
    if sections["pseudo_gt"]["rank"] == "oln":
        link = {"split": split, "section": "pseudo_gt", "from": f"models/{split}/baseline"}
        if link not in inherited:
            line = ", ".join(f"{key}: {value}" for key, value in link.items())
            yield f"splits.{split}.pseudo_gt.rank: oln needs the line {{{line}}} in `inherited`"


def params_model(section: str) -> type[BaseModel]:
    """Return the model that checks a section of params.yaml."""
    title = "".join(word.title() for word in section.split("_"))
    model: type[BaseModel] = getattr(
        importlib.import_module(f"ggn.{section}.params"), f"{title}Params"
    )
    return model


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` replaced, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _sentence(split: str, section: str, own: Mapping[str, Any], fault: Any) -> str:
    place: Any = own
    for part in fault["loc"]:
        place = place.get(part) if isinstance(place, dict) else None
    origin = f"splits.{split}" if place is not None or fault["type"] == "missing" else "defaults"
    key = ".".join(str(part) for part in (origin, section, *fault["loc"]))
    if fault["type"] == "extra_forbidden":
        fields = ", ".join(params_model(section).model_fields)
        return f"{key}: no such key; ggn.{section}.params has {fields}"
    got = "" if fault["type"] == "missing" else f", got {fault['input']!r}"
    return f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}{got}"
