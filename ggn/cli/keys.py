"""Writes docs/params.md, the page of every key of params.yaml, from the models that check them."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.stage import SECTIONS, params_model

_HEAD = """# Every key of params.yaml

`make keys` writes this page from the `params.py` of each package. `seed`, `active` and `inherited`
are at the top of `params.yaml`; the sections below are in `defaults` and in each split. Keys that
you leave out have their defaults.
"""


def keys_page() -> str:
    """Return the page as Markdown: a table for each section and each mapping in it."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts += [_table(path, model) for path, model in _models(section, params_model(section))]
    return "\n".join(parts)


def _models(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        inner = _inner(field)
        if inner is not None:
            yield from _models(f"{path}.{name}", inner)


def _inner(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *typing.get_args(field.annotation)]
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return models[0] if models else None


def _table(path: str, model: type[BaseModel]) -> str:
    purpose = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    rows = [
        f"| `{name}` | {_allowed(field)} | {_default(field)} | {_text(field.description)} |"
        for name, field in model.model_fields.items()
    ]
    head = "| key | allowed | default | meaning |\n|---|---|---|---|"
    return "\n".join([f"## `{path}`\n", f"{purpose}\n", head, *rows, ""])


def _text(description: str | None) -> str:
    return " ".join((description or "").split()).replace("|", "\\|")


def _allowed(field: FieldInfo) -> str:
    bounds = [said for rule in field.metadata for said in [_bound(rule)] if said]
    return ", ".join([_kind(field.annotation), *bounds])


def _kind(kind: Any) -> str:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{word}`" for word in inside)
    if origin in (typing.Union, UnionType):
        return " or ".join(_kind(part) for part in inside)
    if origin is list:
        return f"list of {_kind(inside[0])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "mapping"
    names = {int: "integer", float: "number", str: "string", bool: "true or false"}
    return "`null`" if kind is type(None) else names[kind]


def _bound(rule: Any) -> str | None:
    signs = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
    if type(rule) in signs:
        sign, key = signs[type(rule)]
        return f"{sign}\N{NO-BREAK SPACE}{getattr(rule, key):g}"
    if isinstance(rule, MultipleOf):
        return f"multiple of {rule.multiple_of}"
    if isinstance(rule, MinLen):
        return f"at least {rule.min_length} long" if rule.min_length > 1 else "not empty"
    if isinstance(rule, MaxLen):
        return f"at most {rule.max_length} long"
    pattern = getattr(rule, "pattern", None)
    return f"matching `{pattern}`".replace("|", "\\|") if pattern else None


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    words = {True: "true", False: "false", None: "null", "": '""'}
    return f"`{words[value] if isinstance(value, bool | None) or value == '' else value}`"


if __name__ == "__main__":
    Path("docs/params.md").write_text(keys_page(), encoding="utf-8")
