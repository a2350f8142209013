"""Which checkout the running code belongs to, and whether it is the one it is run in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

CODE = Path(__file__).resolve().parents[2]
"""The folder of the running code: of its packages `ggn` and `pipelines`."""


class StaleBuildError(ImportError):
    """A compiled module was built from other sources than those beside the code that imports it."""


def require_this_checkout(folder: Path | None = None) -> None:
    """Refuse to run the code of one checkout inside another.

    Otherwise its results would be taken for those of the other checkout's code.

    Args:
        folder: where the command was started; by default the current folder.

    Raises:
        ValueError: naming both checkouts and the commands that run the right code.
    """
    here = (Path.cwd() if folder is None else folder).resolve()
    found = next((f for f in (here, *here.parents) if _is_checkout(f)), None)
    if found is not None and found != CODE:
        raise ValueError(
            f"{here} is in the checkout {found}, but the running code is that of {CODE}: "
            f"run `make -C {found} setup`, then use the programs of {found}/.venv/bin "
            "(or `python -m ggn`, which runs the code of the folder it is started in)"
        )


def _is_checkout(folder: Path) -> bool:
    return (folder / "ggn/core/checkout.py").is_file() and (folder / "pipelines").is_dir()


def require_fresh_build(folder: Path, sources: Sequence[str], built: str, module: str) -> None:
    """Refuse a compiled module that was built from other sources than those beside the code.

    If a source is edited without building again, or checkouts share an environment, DVC would
    record new sources beside the results of old ones. CMakeLists.txt computes the same hash.

    Args:
        folder: of the sources.
        sources: their names, in the order of CMakeLists.txt.
        built: the hash that was compiled in.
        module: path of the compiled module.

    Raises:
        StaleBuildError: naming the sources and the module.
    """
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sources]
    if hashlib.sha256("".join(hashes).encode()).hexdigest() != built:
        raise StaleBuildError(
            f"{module} was not built from {', '.join(sources)} in {folder}: run "
            f"`make -C {CODE} setup`, or `make docker-build` for the image"
        )
