"""The DVC stages, one module each, built from `ggn`; `stage` has what they share."""

import os
import signal
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

# Results must not depend on the number of cores: each process computes with one thread, and large
# work uses more processes. NumPy and torch read these variables when they are imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

# The process that started this one, recorded before it can end: `stage.command` ends with it.
PARENT = os.getppid()


def _tell(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """Show a failed import, such as of a compiled module of other sources, as one sentence."""
    if issubclass(kind, ImportError):
        sys.stderr.write(f"{error}\n")
    else:
        sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]


if sys.argv[0] == "-m":  # Python is about to run a stage: `python -m pipelines.STAGE`
    sys.excepthook = _tell
    # While torch is imported, Ctrl-C ends the process at once; later `run_stage` handles it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
