"""Rules: what the value of one setting of a config means in params.yaml."""

from collections.abc import Callable, Mapping
from typing import Any

Pairs = list[tuple[str, Any]]
Rule = Callable[[Any], Pairs]
"""A setting's value to keys of a section of params.yaml; raises UnsupportedError."""


class UnsupportedError(Exception):
    """A value that we have no counterpart for; the message says which there are."""


def to(key: str, change: Callable[[Any], Any] = lambda value: value) -> Rule:
    """The setting is our `key`, its value changed."""
    return lambda value: [(key, change(value))]


def only(*values: Any) -> Rule:
    """We do what these values mean, and nothing else."""

    def rule(value: Any) -> Pairs:
        if value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return []

    return rule


def one_of(key: str, values: Mapping[Any, Any]) -> Rule:
    """Our `key` has another word for each of these values."""

    def rule(value: Any) -> Pairs:
        if isinstance(value, list | dict) or value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return [(key, values[value])]

    return rule


def at_most(limit: float, why: str) -> Rule:
    """A number from 0 to `limit` makes no difference."""

    def rule(value: Any) -> Pairs:
        if not isinstance(value, int | float) or not 0 <= value <= limit:
            raise UnsupportedError(f"only 0 to {limit}, {why}")
        return []

    return rule


def anything(_: Any) -> Pairs:
    """Every value means the same here."""
    return []


def single(value: Any) -> Any:
    """Return the element of a list of one."""
    if not isinstance(value, list) or len(value) != 1:
        raise UnsupportedError("only a list of one")
    return value[0]


def half(value: Any) -> Any:
    """Return half of an even number."""
    if not isinstance(value, int) or value % 2:
        raise UnsupportedError("only an even number")
    return value // 2


def nested(prefix: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Put `prefix` and a dot before each name."""
    return {f"{prefix}.{name}": rule for name, rule in rules.items()}
