"""README.md and the other documents are true: the tree, the commands, the links, the versions."""

from __future__ import annotations

import importlib
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")])
FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)


def fences(text: str) -> list[tuple[str, str]]:
    """Language and body of each fenced block."""
    return FENCE.findall(text)


def commands(text: str) -> list[str]:
    """Lines of the shell blocks, and code spans, without comments."""
    lines = [
        line for language, body in fences(text) if language == "sh" for line in body.split("\n")
    ]
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return [line.split(" #")[0].strip() for line in (*lines, *spans)]


def stated(program: str, texts: list[str]) -> set[str]:
    """First words after `program` in commands: the make targets, the subcommands of ggn."""
    pattern = re.compile(rf"(?:^|[;&|]\s*){program} ([a-z][\w-]*)(?=\s|$)")
    return {word for text in texts for word in pattern.findall(text)}


def listed_tree(text: str) -> dict[str, int]:
    """Paths of the tree in README.md (the block with a line `ggn/`), each with its line number."""
    trees = [body for _, body in fences(text) if re.search(r"^\W*ggn/(\s|$)", body, re.MULTILINE)]
    assert len(trees) == 1, "README.md needs one fenced block that lists the tree, ggn/ in it"
    paths, parents = {}, [(-1, "")]
    for number, line in enumerate(trees[0].splitlines(), start=1):
        plain = re.sub("[│├└─]", " ", line)
        if not plain.strip():
            continue
        depth = len(plain) - len(plain.lstrip())
        while parents[-1][0] >= depth:
            parents.pop()
        path = parents[-1][1] + plain.split()[0]
        paths[path] = number
        if path.endswith("/"):
            parents.append((depth, path))
    return paths


def children(files: list[str], folder: str = "") -> set[str]:
    """Files and folders (with a slash) directly in `folder`."""
    inside = [name.removeprefix(folder) for name in files if name.startswith(folder)]
    return {folder + name.split("/")[0] + "/" * ("/" in name) for name in inside}


def test_the_tree_reader_on_a_worked_example() -> None:
    tree = "```\nggn/        package\n  core/     masks\n    masks.py\n  cli.py\nMakefile\n```"
    assert set(listed_tree(tree)) == {
        "ggn/", "ggn/core/", "ggn/core/masks.py", "ggn/cli.py", "Makefile",
    }  # fmt: skip


def test_readme_tree_is_the_tree(project_files: list[str]) -> None:
    listed = set(listed_tree((ROOT / "README.md").read_text("utf-8")))
    files = project_files
    made = {"data/", "models/"}  # DVC outputs: they are there after a run
    exists = children(files) | {path for path in listed if (ROOT / path).exists()} | made
    assert not listed - exists, f"README.md lists what is not there: {sorted(listed - exists)}"
    visible = {name for name in children(files) if not name.startswith(".")}
    packages = children(files, "ggn/") - {f"ggn/{n}" for n in ("__init__.py", "__init__.pyi")}
    packages -= {"ggn/py.typed"}
    missing = (visible | packages) - listed
    assert not missing, f"README.md's tree lacks {sorted(missing)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    unknown = stated("make", commands(path.read_text("utf-8"))) - targets
    assert not unknown, f"{path.name}: make has no target {sorted(unknown)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_ggn_command_in_a_document_exists(path: Path) -> None:
    said = stated("ggn", commands(path.read_text("utf-8")))
    if not said:
        return
    typer_main = importlib.import_module("typer.main")
    known = set(typer_main.get_command(importlib.import_module("ggn.cli").app).commands)
    assert not said - known, f"{path.name}: ggn has no command {sorted(said - known)}"


def test_commands_are_found_where_a_reader_sees_them() -> None:
    block = "  ```sh\n  make setup  # make tea\n  ggn predict a\n  ```\n"
    text = "Say `make ui`, or `ggn check x.json`.\n\n" + block
    assert stated("make", commands(text)) == {"ui", "setup"}
    assert stated("ggn", commands(text)) == {"check", "predict"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_into_the_repository_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8"))
    inner = [link for link in links if not re.match(r"\w+:", link)]
    dead = [link for link in inner if not (path.parent / link).exists()]
    assert not dead, f"{path.name}: links to {dead}, which are not there"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_split_in_a_document_is_accepted(path: Path) -> None:
    load_params = importlib.import_module("pipelines.stage").load_params
    blocks = [body for language, body in fences(path.read_text("utf-8")) if language == "yaml"]
    for body in blocks:
        shown = YAML(typ="safe").load(textwrap.dedent(body))
        for name in shown.get("splits", {}):
            assert load_params(name, {"seed": 0, "defaults": {}, **shown})


def versions() -> dict[str, str]:
    lines = (ROOT / "docker" / "versions.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_versions_are_plain_numbers() -> None:
    assert re.fullmatch(r"3\.\d+", versions()["PYTHON_VERSION"]), "as in 3.11: no patch number"
    assert re.fullmatch(r"\d+\.\d+\.\d+", versions()["UV_VERSION"])


def test_pyproject_admits_the_python_that_setup_installs() -> None:
    python = versions()["PYTHON_VERSION"]
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert python in SpecifierSet(config["project"]["requires-python"])
    assert config["tool"]["ruff"]["target-version"] == "py" + python.replace(".", "")


def test_versions_are_stated_once() -> None:
    """The build reads versions.env; a document may repeat the number, if it is the same one."""
    python, uv = versions()["PYTHON_VERSION"], versions()["UV_VERSION"]
    for name in ("Makefile", ".ci/run", ".pre-commit-config.yaml", "CMakeLists.txt"):
        text = (ROOT / name).read_text("utf-8")
        assert python not in text, f"{name} states the version of Python"
        assert uv not in text, f"{name} states the version of uv"
    for path in DOCUMENTS:
        said = set(re.findall(r"Python (3\.\d+)", path.read_text("utf-8")))
        assert said <= {python}, f"{path.name}: says Python {sorted(said)}, setup installs {python}"


def test_pre_commit_runs_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    match = re.search(r"^lint: .*\n\t@\$\(MAKE\) --keep-going (.+)$", makefile, re.MULTILINE)
    assert match is not None, "Makefile: `lint` no longer names its parts in one line"
    config = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == [f"make {part}" for part in match[1].split()]
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_belongs_to_a_numbered_item_is_indented_by_four(path: Path) -> None:
    """With three, GitHub shows it so, too, but the site of `make docs` begins the list anew."""
    text = FENCE.sub("", path.read_text("utf-8"))
    paragraphs = re.findall(r"\n\n {3}(?! )(\S.*)", text)
    assert not paragraphs, f"{path.name}: indent by four spaces: {paragraphs[0]}"
    assert not re.search(r"^ {3}```", path.read_text("utf-8"), re.MULTILINE), path.name
