"""No code of ours runs what a file or an argument says: read off the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("ggn", "pipelines") for path in (ROOT / folder).rglob("*.py"))
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}


def keyword_is(call: ast.Call, name: str, value: bool) -> bool:
    return any(
        keyword.arg == name and getattr(keyword.value, "value", None) is value
        for keyword in call.keywords
    )


def unsafe(tree: ast.Module) -> Iterator[str]:
    """Name every construct that can run what a file or an argument says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            tops = {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                tops = {(node.module or "").split(".")[0]}
            yield from (f"line {node.lineno}: import {top}" for top in tops & UNSAFE_MODULES)
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"line {node.lineno}: bare except"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in UNSAFE_CALLS:
                yield f"line {node.lineno}: {called}"
            if called == "torch.load" and not keyword_is(node, "weights_only", True):
                yield f"line {node.lineno}: torch.load without weights_only=True"
            if keyword_is(node, "allow_pickle", True) or keyword_is(node, "shell", True):
                yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "eval(text)",
        "try:\n    pass\nexcept:\n    pass",
    ],
)
def test_unsafe_code_is_recognised(source: str) -> None:
    assert len(list(unsafe(ast.parse(source)))) == 1


def test_nothing_runs_what_a_file_says() -> None:
    assert not list(unsafe(ast.parse("torch.load(path, weights_only=True)")))
    found = {
        str(path.relative_to(ROOT)): list(unsafe(ast.parse(path.read_text("utf-8"))))
        for path in SOURCES
    }
    assert not {name: faults for name, faults in found.items() if faults}
