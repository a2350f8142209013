"""The DVC stages: one module each, composing `ggn`; `stage.py` is all that they share."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    version("ggn")
except PackageNotFoundError:  # `.venv/bin/dvc repro` without activation finds another Python
    own = Path(__file__).parents[1] / ".venv" / "bin" / "python"
    if not own.exists():
        sys.exit(f"{sys.executable} lacks the project's packages: run `make setup`")
    os.execv(own, [str(own), *sys.orig_argv[1:]])  # noqa: S606 (the same words, no shell)

# Results must not depend on the number of cores: each process computes with one thread, and where
# there is more to do, there are more processes. Read when NumPy and torch are loaded, hence here.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
