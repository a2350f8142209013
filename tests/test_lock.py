"""requirements.lock: it satisfies pyproject.toml, and holds hashes but no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def locked() -> dict[str, str]:
    """Version by normalised package name."""
    pins = re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", LOCK.read_text("utf-8"), re.MULTILINE)
    names = [name for name, _ in pins]
    assert len(names) == len(set(names)), "a package is locked twice"
    return dict(pins)


def test_lock_satisfies_pyproject() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project, pins = config["project"], locked()
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["mlops"], *extras["dev"]]
    wanted += [
        *config["build-system"]["requires"],
        *config["tool"]["uv"]["constraint-dependencies"],
    ]
    for requirement in map(Requirement, wanted):
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        assert name in pins, f"requirements.lock lacks {name}; run `make lock`"
        assert pins[name] in requirement.specifier, f"{requirement}, locked {pins[name]}"


def test_lock_has_hashes_and_no_address() -> None:
    text = LOCK.read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(locked())
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.split("\n")[0]
    assert not re.search(r"://|^-|[ =]/|\b[A-Z]:\\", text, re.MULTILINE), "an address or a path"
    assert "mmcv" not in text, "mmcv-full is compiled, not locked"
