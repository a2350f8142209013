"""Rules that translate the value of a config's setting to params.yaml."""

from collections.abc import Callable, Mapping
from typing import Any

Pairs = list[tuple[str, Any]]
Rule = Callable[[Any], Pairs]
"""Maps a setting's value to keys of a section of params.yaml; raises UnsupportedError."""


class UnsupportedError(Exception):
    """A value has no counterpart; the message lists the values that do."""


def to(key: str, change: Callable[[Any], Any] = lambda value: value) -> Rule:
    """Return a rule: the setting is our `key`, with a changed value."""
    return lambda value: [(key, change(value))]


def only(*values: Any) -> Rule:
    """Return a rule: our fixed behaviour is that of these values."""

    def rule(value: Any) -> Pairs:
        if value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return []

    return rule


def one_of(key: str, values: Mapping[Any, Any]) -> Rule:
    """Return a rule: our `key` has another word for each of these values."""

    def rule(value: Any) -> Pairs:
        if isinstance(value, list | dict) or value not in values:
            raise UnsupportedError(f"only {' or '.join(map(repr, values))}")
        return [(key, values[value])]

    return rule


def at_most(limit: float, why: str) -> Rule:
    """Return a rule: a number from 0 to `limit` makes no difference."""

    def rule(value: Any) -> Pairs:
        if not isinstance(value, int | float) or not 0 <= value <= limit:
            raise UnsupportedError(f"only 0 to {limit}, {why}")
        return []

    return rule


def anything(_: Any) -> Pairs:
    """Accept any value, because it has no effect here."""
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
