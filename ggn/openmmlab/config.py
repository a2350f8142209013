"""Reads configs of OpenMMLab (Python files that inherit through `_base_`) without running them.

`mmcv.Config.fromfile` imports such a file, which runs all code in it. Here its syntax tree is read
instead: assignments of values, which is all that a config needs. For such files the result is the
same as mmcv's, including inheritance.
"""

import ast
import operator
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_NUMBERS = (int, float)


class ConfigError(ValueError):
    """A config is missing, malformed, would run code, or describes an unsupported model."""


def read_config(path: str | Path) -> dict[str, Any]:
    """Return the values that a config assigns, over those of its `_base_` files.

    A dict is merged with the one it inherits, key by key; with `_delete_=True` it replaces it.
    Allowed are literals, `dict(…)`, `range(…)`, `**`, names assigned before in the same file, their
    elements, f-strings of them, arithmetic, and mmcv's `{{ fileDirname }}`.

    Raises:
        ConfigError: a `_base_` is missing or circular, there is a syntax error, or something would
            have to be run; naming file and line.
    """
    return _read(Path(path), ())


def _read(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in [child.resolve() for child in children]:
        chain = " -> ".join(str(entry) for entry in (*children, path))
        raise ConfigError(f"{path}: inherits from itself: {chain}")
    own = _assignments(path, children)
    bases = own.pop("_base_", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list | tuple) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: _base_ must be a path or a list of paths, got {bases!r}")
    inherited: dict[str, Any] = {}
    for base in bases:
        values = _read(path.parent / base, (*children, path))
        if twice := sorted(inherited.keys() & values.keys()):
            raise ConfigError(f"{path}: two files of _base_ set {', '.join(twice)}")
        inherited |= values
    return _merged(inherited, own, path, "")


def _merged(base: dict[str, Any], own: dict[str, Any], path: Path, place: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        if isinstance(value, dict):
            content = {name: entry for name, entry in value.items() if name != "_delete_"}
            inherited = {} if value.get("_delete_") else merged.get(key, {})
            if not isinstance(inherited, dict):
                raise ConfigError(
                    f"{path}: {place}{key} is a dict, but inherits {inherited!r}; "
                    "use _delete_=True to replace it"
                )
            merged[key] = _merged(inherited, content, path, f"{place}{key}.")
        else:
            merged[key] = value
    return merged


def _assignments(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    if not path.is_file():
        inherits = f", which {children[-1]} names as _base_" if children else ""
        raise ConfigError(f"{path}: no such file{inherits}")
    if path.suffix != ".py":
        raise ConfigError(f"{path}: configs are Python files, ending in .py")
    try:
        tree = ast.parse(_with_its_own_name(path.read_text(encoding="utf-8-sig"), path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{path}: not a config: {error or type(error).__name__}") from error
    values: dict[str, Any] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=expression) if _are_names(targets):
                try:
                    value = _value(expression, values)
                except (_NotAValueError, RecursionError) as error:
                    text = str(error) or "too deeply nested"
                    raise ConfigError(f"{path}, line {statement.lineno}: {text}") from error
                values |= {target.id: value for target in targets if isinstance(target, ast.Name)}
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case _:
                raise ConfigError(
                    f"{path}, line {statement.lineno}: is not an assignment of a value to a name; "
                    "configs are read, not run"
                )
    return {name: value for name, value in values.items() if not name.startswith("__")}


def _with_its_own_name(text: str, path: Path) -> str:
    """Fill in mmcv's four variables for the file itself, such as `{{ fileDirname }}`."""
    names = {
        "fileDirname": path.absolute().parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    return re.sub(rf"\{{\{{\s*({'|'.join(names)})\s*\}}\}}", lambda match: names[match[1]], text)


def _are_names(targets: list[ast.expr]) -> bool:
    return all(isinstance(target, ast.Name) for target in targets)


class _NotAValueError(Exception):
    """An expression that would have to be run."""


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp() | ast.BinOp():
            return _arithmetic(node, names)
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, names) for part in parts)
        case ast.Subscript(value=container, slice=index):
            return _element(_value(container, names), _value(index, names), node)
    return _container(node, names)


def _container(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.List(elts=elements):
            return [_value(element, names) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element, names) for element in elements)
        case ast.Dict(keys=keys, values=values):
            return _mapping(keys, values, names)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            keys = [None if k.arg is None else ast.Constant(k.arg) for k in keywords]
            return _mapping(keys, [k.value for k in keywords], names)
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return _range([_value(bound, names) for bound in bounds], node)
    raise _NotAValueError(f"`{ast.unparse(node)[:60]}` is not a value; configs are read, not run")


def _range(bounds: list[Any], node: ast.expr) -> range:
    """Return a range, as mmcv writes the devices of a training; any length takes no memory."""
    if not 1 <= len(bounds) <= 3 or not all(type(b) is int for b in bounds) or 0 in bounds[2:]:
        raise _NotAValueError(f"`{ast.unparse(node)[:60]}` needs one to three integers")
    return range(*bounds)


def _text(part: ast.expr, names: dict[str, Any]) -> str:
    """Return a part of an f-string: a constant, or a string or number without a format spec."""
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    plain = not isinstance(part, ast.FormattedValue) or (
        part.format_spec is None and part.conversion == -1
    )
    value = _value(inner, names) if isinstance(inner, ast.expr) else inner
    if not plain or not isinstance(value, str | int | float):
        raise _NotAValueError(f"`{ast.unparse(part)[:60]}` is not a string or a number")
    return str(value)


def _element(container: Any, index: Any, node: ast.expr) -> Any:
    if isinstance(container, dict) and isinstance(index, str | int) and index in container:
        return container[index]
    if isinstance(container, list | tuple) and isinstance(index, int):
        with suppress(IndexError):
            return container[index]
    raise _NotAValueError(f"`{ast.unparse(node)[:60]}` is not there")


def _mapping(
    keys: list[ast.expr | None] | list[ast.Constant | None],
    values: list[ast.expr],
    names: dict[str, Any],
) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, node in zip(keys, values, strict=True):
        value = _value(node, names)
        if key is not None:
            result[_hashable(_value(key, names), key)] = value
        elif isinstance(value, dict):
            result |= value
        else:
            raise _NotAValueError(f"`**{ast.unparse(node)[:60]}` is not a dict")
    return result


def _hashable(key: Any, node: ast.expr) -> Any:
    if not isinstance(key, str | int | float | None):
        raise _NotAValueError(f"`{ast.unparse(node)[:60]}` is not a key")
    return key


def _arithmetic(node: ast.UnaryOp | ast.BinOp, names: dict[str, Any]) -> Any:
    """Evaluate arithmetic of numbers, and sums of strings or lists, but not their multiples."""
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, names)
        if isinstance(node.op, ast.USub) and isinstance(value, _NUMBERS):
            return -value
    else:
        left, right = _value(node.left, names), _value(node.right, names)
        numbers = isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)
        joined = type(left) is type(right) and isinstance(left, str | list | tuple)
        if type(node.op) in _OPERATORS and (numbers or (joined and isinstance(node.op, ast.Add))):
            if isinstance(node.op, ast.Div) and right == 0:
                raise _NotAValueError(f"`{ast.unparse(node)[:60]}` divides by zero")
            return _OPERATORS[type(node.op)](left, right)
    raise _NotAValueError(f"`{ast.unparse(node)[:60]}` is not arithmetic that a config needs")
