"""Adding a split to params.yaml without touching the rest of the file."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML

from pipelines.stage import ParamsError, load_params


def with_split(text: str, name: str, entry: str) -> str:
    """Return the text of params.yaml with a new split at the end of `splits`, made active.

    Args:
        text: the text of the file.
        name: name of the new split.
        entry: its YAML, indented as the file's splits are.

    Raises:
        ParamsError: the entry is refused, or anything else in the file would change.
    """
    before: Any = YAML(typ="rt").load(text)
    splits = before["splits"]
    following = [before.lc.key(key)[0] for key in before if before.lc.key(key)[0] > splits.lc.line]
    lines = text.splitlines(keepends=True)
    end = min(following, default=len(lines))
    while end and re.match(r"\s*(#.*)?$", lines[end - 1]) and end > splits.lc.line:
        end -= 1
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    lines[end:end] = ["\n", entry]
    changed = re.sub(r"(?m)^active: *\[[^\]]*\]", f"active: [{name}]", "".join(lines), count=1)
    after: Any = YAML(typ="safe", pure=True).load(changed)
    load_params(name, after)
    expected = YAML(typ="safe", pure=True).load(text)
    expected["splits"][name] = after["splits"].get(name)
    expected["active"] = after["active"]
    if after != expected:
        raise ParamsError(f"params.yaml: add this to `splits` by hand:\n{entry}")
    return changed
