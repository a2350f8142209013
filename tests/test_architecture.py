"""The house rules that no linter knows: dependencies of stages, params, names, lengths."""

from __future__ import annotations

import ast
import configparser
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("ggn/*/__init__.py"))
STAGE_MODULES = sorted(path.stem for path in ROOT.glob("pipelines/*.py") if path.stem != "__init__")
SOURCES = sorted(path for folder in ("ggn", "pipelines") for path in (ROOT / folder).rglob("*.py"))


def read_yaml(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / name).read_text("utf-8"))
    return document


STAGES: dict[str, Any] = read_yaml("dvc.yaml")["stages"]
SPLITS: dict[str, Any] = read_yaml("params.yaml")["splits"]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`, which decide nothing that a stage computes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_time_nodes(child)


def imported_names(path: Path) -> set[str]:
    """Absolute dotted names that a file imports; of `from a import b`, `a.b`."""
    names = set()
    package = path.relative_to(ROOT).parent.parts
    for node in run_time_nodes(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*parents, *([node.module] if node.module else [])))
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def place(name: str) -> str | None:
    """The DVC dependency that an imported name stands for: `ggn/core`, `pipelines/stage`."""
    top, *rest = name.split(".")
    if top not in {"ggn", "pipelines"} or not rest:
        return None
    folder = f"{top}/{rest[0]}"
    return folder if (ROOT / folder).is_dir() else f"{folder}.py"


LOOKS_ON = "ggn/tracking"
"""Tells MLflow what stages did and decides nothing that they do: an edit must not train again."""


@cache
def reached(dependency: str) -> frozenset[str]:
    """A folder or file with everything of ours that it imports, directly or not."""
    seen, waiting = set(), [dependency]
    while waiting:
        current = waiting.pop()
        if current in seen or current == LOOKS_ON:
            continue
        seen.add(current)
        path = ROOT / current
        files = path.rglob("*.py") if path.is_dir() else [path]
        names = {name for file in files for name in imported_names(file)}
        waiting += [found for found in map(place, names) if found is not None]
    return frozenset(seen)


def module_of(stage: str) -> Path:
    return ROOT / "pipelines" / f"{stage}.py"


def test_the_import_walk_sees_what_python_sees(tmp_path: Path) -> None:
    """Worked example, so that the tests below can be trusted."""
    file = ROOT / "ggn" / "core" / "imagined.py"
    parse_imagined = ast.parse(
        "import ggn.data.splits\n"
        "from ggn import grouping\n"
        "from . import masks\n"
        "from ..engine.weights import save_weights\n"
        "if TYPE_CHECKING:\n    import ggn.detector\n"
        "def later():\n    import pipelines.stage\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "parse", lambda path: parse_imagined)
        names = imported_names(file)
    assert names == {
        "ggn.data.splits",
        "ggn.grouping",
        "ggn.core.masks",
        "ggn.engine.weights.save_weights",
        "pipelines.stage",
    }


def test_tracking_looks_on_and_is_no_dependency() -> None:
    """Of what is imported for it alone, nothing counts; nothing else of ggn may import it."""
    assert LOOKS_ON in set(map(place, imported_names(ROOT / "pipelines" / "stage" / "run.py")))
    assert LOOKS_ON not in reached("pipelines/stage")
    assert LOOKS_ON not in (ROOT / "dvc.yaml").read_text("utf-8")
    users = {path.parent for path in SOURCES if LOOKS_ON in map(place, imported_names(path))}
    face = {ROOT / "pipelines" / "stage", ROOT / "ggn", ROOT / "ggn" / "cli"}  # what people call
    assert users <= {*face, ROOT / LOOKS_ON}


def is_code(dependency: str) -> bool:
    return dependency.startswith(("ggn/", "pipelines/"))


def compare(where: str, listed: set[str], used: set[str], source: str) -> None:
    """Fail with what dvc.yaml lacks (changes go unseen) or has too much (work is repeated)."""
    assert not used - listed, f"dvc.yaml: {where} lacks {sorted(used - listed)}: {source}"
    assert not listed - used, f"dvc.yaml: {where} has {sorted(listed - used)} unused: {source}"


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_exactly_the_code_it_imports(stage: str) -> None:
    listed = {dependency for dependency in STAGES[stage]["deps"] if is_code(dependency)}
    imported = set(reached(f"pipelines/{stage}.py"))
    compare(f"{stage}.deps", listed, imported, f"imports from pipelines/{stage}.py on")


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_exactly_the_data_it_declares_as_inputs(stage: str) -> None:
    listed = {dependency for dependency in STAGES[stage]["deps"] if not is_code(dependency)}
    module = importlib.import_module(f"pipelines.{stage}")
    keys = {"split": "${item.split}", "recipe": "${item.recipe}"}
    if "link" in STAGES[stage]["matrix"]:
        keys = {"split": "${item.link.split}", "recipe": "${item.link.from}"}
    declared = {entry.format(**keys) for entry in getattr(module, "INPUTS", ())}
    compare(f"{stage}.deps", listed, declared, f"INPUTS of pipelines/{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tracks_exactly_the_params_it_reads(stage: str) -> None:
    """Read are the sections whose params model the module imports, and the seed if it names it."""
    places = {name.rpartition(".")[2]: place(name) for name in imported_names(module_of(stage))}
    sections = {
        str(folder).removeprefix("ggn/")
        for name, folder in places.items()
        if name.endswith("Params") and folder is not None
    }
    used = {f"defaults.{section}" for section in sections}
    used |= {f"splits.${{item.split}}.{section}" for section in sections}
    nodes = ast.walk(parse(module_of(stage)))
    used |= {"seed" for node in nodes if isinstance(node, ast.Attribute) and node.attr == "seed"}
    listed = set(STAGES[stage].get("params", []))
    compare(f"{stage}.params", listed, used, f"params models named in pipelines/{stage}.py")


def test_packages_above_every_stage_import_nothing() -> None:
    """No stage depends on these two files, so nothing in them may decide a result."""
    allowed = {  # how threads wait and signals end, and which Python this is
        "ggn/__init__.py": {"lazy_loader"},
        "pipelines/__init__.py": {"os", "signal", "sys", "importlib", "pathlib"},
    }
    for name, names in allowed.items():
        imported = {imported.split(".")[0] for imported in imported_names(ROOT / name)}
        assert imported <= names, f"{name}: imports {imported - names}; no stage tracks it"


def test_stages_are_modules_and_modules_are_stages() -> None:
    assert sorted(STAGES) == STAGE_MODULES, "dvc.yaml's stages and the modules of pipelines/"


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_tested(stage: str) -> None:
    own = ROOT / "tests" / "pipelines" / f"test_{stage}.py"
    whole = [ROOT / "tests" / "test_pipeline.py", ROOT / "tests" / "pipelines" / "test_rows.py"]
    named = any(re.search(rf"\b{stage}\b", path.read_text("utf-8")) for path in whole)
    assert own.exists() or named, (
        f"no tests/pipelines/test_{stage}.py, and no test of the whole pipeline names it"
    )


def test_every_package_has_its_tests_and_its_place_in_the_import_contract() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = " ".join(config["tool"]["importlinter"]["contracts"][0]["layers"])
    for package in PACKAGES:
        assert f"ggn.{package}" in layers.split(), f"pyproject.toml: no layer has ggn.{package}"
        folder = ROOT / "tests" / package
        assert list(folder.glob("test_*.py")), f"tests/{package}/ has no test"


@pytest.mark.parametrize("split", SPLITS)
def test_shipped_split_is_valid_and_names_every_section(split: str) -> None:
    stage = importlib.import_module("pipelines.stage")
    document = stage.read_params(ROOT / "params.yaml")
    assert set(SPLITS[split]) == set(stage.SECTIONS), f"params.yaml: sections of splits.{split}"
    assert set(stage.load_params(split, document)) == set(stage.SECTIONS)


def test_params_sections_are_the_packages_params_models() -> None:
    sections = set(importlib.import_module("pipelines.stage").SECTIONS)
    models = set()
    for package in PACKAGES:
        title = "".join(word.title() for word in package.split("_")) + "Params"
        path = ROOT / "ggn" / package / "params.py"
        classes = (
            [n.name for n in parse(path).body if isinstance(n, ast.ClassDef)]
            if path.exists()
            else []
        )
        models |= {package} if title in classes else set()
    assert models == sections, "packages with a params model, and pipelines.stage.SECTIONS"
    assert set(read_yaml("params.yaml")["defaults"]) == sections, "params.yaml: defaults"
    assert set(read_yaml("params.yaml")["active"]) <= set(SPLITS), "params.yaml: active"


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "common", "helpers", "helper", "misc", "shared"}
    bad = [path for path in SOURCES if empty & set(path.relative_to(ROOT).with_suffix("").parts)]
    assert not bad, f"name the noun these hold: {bad}"


@pytest.mark.parametrize("package", PACKAGES)
def test_test_files_begin_with_a_sentence(package: str) -> None:
    for path in (ROOT / "tests" / package).glob("test_*.py"):
        said = ast.get_docstring(parse(path)) or ""
        assert said.partition("\n\n")[0].endswith("."), f"{path.relative_to(ROOT)}: {said[:60]!r}"


def test_files_stay_short() -> None:
    for path in [*SOURCES, *ROOT.glob("ggn/*/*.pyx"), *ROOT.glob("ggn/*/*.hpp")]:
        stage = path.parent.name == "pipelines" and path.stem in STAGE_MODULES
        most = 72 if stage else 400
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= most, f"{path.relative_to(ROOT)}: {lines} lines, at most {most}"


def names_given(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module gives to constants, functions and classes."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.AnnAssign):
        return [ast.unparse(statement.target)]
    if isinstance(statement, ast.Assign):
        return [ast.unparse(target) for target in statement.targets]
    return []


def test_no_module_gives_a_name_twice() -> None:
    """Neither ruff nor mypy minds a constant that replaces another."""
    for path in SOURCES:
        given = [name for statement in parse(path).body for name in names_given(statement)]
        twice = {name for name in given if given.count(name) > 1}
        assert not twice, f"{path.relative_to(ROOT)}: {sorted(twice)}"


def test_dvc_shows_few_metrics() -> None:
    """Each number of a metrics file is a column of `dvc exp show`; other reports are outputs."""
    metrics = {
        path for stage in STAGES.values() for out in stage.get("metrics", []) for path in out
    }
    shown = {f"reports/${{item.split}}/{name}.json" for name in ("table", "pseudo_gt")}
    assert metrics == shown


def test_plots_have_templates_that_are_there() -> None:
    plots = [out for stage in STAGES.values() for out in stage.get("plots", [])]
    named = {options["template"] for plot in plots for options in plot.values() if "x" in options}
    assert named == {path.stem for path in (ROOT / ".dvc" / "plots").glob("*.json")}


def test_dvc_ignores_what_python_and_the_build_leave_behind() -> None:
    lines = (ROOT / ".dvcignore").read_text("utf-8").splitlines()
    for pattern in ("__pycache__/", "*.py[co]", "*.so"):
        assert pattern in lines, f".dvcignore: lacks {pattern}; every stage would look stale"


def test_dvc_neither_reports_home_nor_stages_files() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert config["core"]["analytics"] == config["core"]["autostage"] == "false"


WITHOUT_TORCH = """
import importlib, pkgutil, sys
for package in {packages!r}:
    importlib.import_module(package)
    names = [package]
    if package.rpartition(".")[2] != "params":
        path = sys.modules[package].__path__
        names += [module.name for module in pkgutil.walk_packages(path, package + ".")]
    for name in names:
        importlib.import_module(name)
        heavy = {{"torch", "torchvision", "lightning"}} & set(sys.modules)
        if heavy:
            sys.exit(f"import {{name}} imports {{sorted(heavy)}}")
"""


def test_light_packages_and_all_params_import_without_torch() -> None:
    packages = [f"ggn.{name}" for name in ("core", "store", "grouping", "pseudo_gt", "evaluation")]
    packages += [f"ggn.{path.parent.name}.params" for path in sorted(ROOT.glob("ggn/*/params.py"))]
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH.format(packages=packages)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


LAZY = [name for name in ["", *PACKAGES] if (ROOT / "ggn" / name / "__init__.pyi").exists()]


@pytest.mark.parametrize("package", LAZY)
def test_a_package_exports_in_one_way(package: str) -> None:
    """Its stub says what, for type checkers and for lazy_loader; other packages export nothing."""
    module = importlib.import_module(f"ggn.{package}".rstrip("."))
    stub = ast.parse((ROOT / "ggn" / package / "__init__.pyi").read_text("utf-8"))
    named = [alias for node in stub.body for alias in node.names]  # type: ignore[attr-defined]
    assert all(alias.name == alias.asname for alias in named), "from .module import Name as Name"
    assert sorted(alias.name for alias in named) == sorted(module.__all__) == sorted(dir(module))
    for name in module.__all__:
        assert getattr(module, name).__doc__


def test_no_package_exports_in_another_way() -> None:
    for package in sorted({*PACKAGES} - {*LAZY, "cli"}):  # importing cli registers its commands
        assert not imported_names(ROOT / "ggn" / package / "__init__.py"), package
    for package in LAZY:
        names = imported_names(ROOT / "ggn" / package / "__init__.py")
        assert names == {"lazy_loader"}, package


IMPORTED = """
import importlib, sys
importlib.import_module(sys.argv[1])
heavy = {"torch", "torchvision", "lightning", "sklearn", "matplotlib", "mlflow"}
print(*sorted(heavy & {*sys.modules}))
"""
TRAINING = "lightning matplotlib torch torchvision"
IMPORTS_OF_STAGES = {
    "inherit": "torch",
    "prepare": "",
    "train_affinity": TRAINING,
    "evaluate_affinity": "torch",
    "extract_regions": "torch",
    "score_candidates": "",
    "select_pseudo_gt": "matplotlib",
    "train_detector": TRAINING,
    "predict": "torch torchvision",
    "evaluate": "",
    "compare": "matplotlib torch",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_what_it_needs_before_it_begins(stage: str) -> None:
    """Each of these costs a second or two at every start."""
    command = [sys.executable, "-c", IMPORTED, f"pipelines.{stage}"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.strip() == IMPORTS_OF_STAGES[stage]
