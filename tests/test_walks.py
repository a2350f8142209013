"""The walks that CONTRIBUTING draws are those of the code: imports, files of stages, rooms."""

import ast
import importlib
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
DRAWN = re.findall(r"```mermaid\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.S)
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
Arrow = tuple[str, str, str]
"""From, "-->" or "-.->", to."""


def arrows(drawing: str) -> list[Arrow]:
    """The arrows of a drawing, top to bottom, with the names of modules and files."""
    names = dict(re.findall(r'(\w+)\[\(?"([^"]+)"', drawing))
    found = []
    for line in drawing.splitlines()[1:]:
        words = re.split(r" (-->|-\.->) ", re.sub(r"\[[^]]*\]", "", line.strip()))
        nodes, kinds = words[::2], words[1::2]
        found += [
            (names[source], kind, names[target])
            for source, kind, target in zip(nodes, kinds, nodes[1:], strict=False)
        ]
    return found


def imports(module: str) -> set[str]:
    """The modules in which the names are defined that a module imports."""
    file = Path(str(importlib.import_module(module).__file__))
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            source = importlib.import_module(node.module)
            found |= {node.module} | {
                getattr(getattr(source, alias.name, None), "__module__", node.module)
                for alias in node.names
            }
    return found


def files(stage: str, kind: str) -> set[str]:
    """The paths that a stage of dvc.yaml reads (`deps`) or writes (`outs`)."""
    entry = STAGES[stage.removeprefix("pipelines.")]
    entry = entry.get("do", entry)
    paths = [next(iter(path)) if isinstance(path, dict) else path for path in entry[kind]]
    named = {"split": "SPLIT", "recipe": "RECIPE"}
    return {
        re.sub(r"\$\{([^}]+)\}", lambda found: named[found[1].split(".")[-1]], path)
        for path in paths
    }


@pytest.mark.parametrize("drawing", DRAWN, ids=["affinity", "annotation", "detection", "metric"])
class TestWalk:
    def test_a_solid_arrow_is_an_import(self, drawing: str) -> None:
        drawn = [(source, to) for source, kind, to in arrows(drawing) if kind == "-->"]
        assert drawn
        assert [(source, to) for source, to in drawn if to not in imports(source)] == []

    def test_a_dotted_arrow_is_a_file_that_a_stage_writes_or_reads(self, drawing: str) -> None:
        dotted = [(source, to) for source, kind, to in arrows(drawing) if kind == "-.->"]
        assert dotted or "pipelines.stage.run" in drawing  # a metric goes by no file of DVC's
        for source, to in dotted:
            writes = source.startswith("pipelines.")
            stage, file = (source, to) if writes else (to, source)
            assert file in files(stage, "outs" if writes else "deps")

    def test_each_room_is_entered_once_in_a_stage(self, drawing: str) -> None:
        stages: list[list[str]] = [[]]
        for _, kind, to in arrows(drawing):
            if kind == "-.->" and to.startswith("pipelines."):
                stages.append([])
            if to.startswith("ggn."):
                stages[-1].append(to)
        for modules in stages:
            rooms = [room for room, _ in groupby(module.split(".")[1] for module in modules)]
            assert len(rooms) == len(set(rooms)), rooms
