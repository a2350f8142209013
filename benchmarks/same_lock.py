"""Does the tiny pipeline write the same dvc.lock with any threads, cores and loader processes?

    python benchmarks/same_lock.py

It runs the pipeline of tests/test_pipeline.py with OMP_NUM_THREADS unset, 1 and 4, on all cores and
on one, with 0 and 2 processes that read images: twelve times, a minute or two each. The outputs of
every run are compared with those of the first, hash by hash.
"""

import importlib.util
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TESTS = Path(__file__).parents[1] / "tests" / "test_pipeline.py"
THREADS = (None, "1", "4")
CORES = ("all", "one")
WORKERS = (0, 2)


def outputs(folder: Path, threads: str | None, cores: str, workers: int) -> dict[str, Any]:
    """Run the tiny pipeline in a new folder; return the outputs of each stage from dvc.lock."""
    spec = importlib.util.spec_from_file_location("test_pipeline", TESTS)
    assert spec is not None
    assert spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    checkout = tests.make_checkout(folder)
    with tests.changed_params(checkout) as params:
        for section in ("affinity", "detector"):
            params["splits"]["shapes"][section]["workers"] = workers
    os.environ.pop("OMP_NUM_THREADS", None)
    more = {} if threads is None else {"OMP_NUM_THREADS": threads}
    core = str(min(os.sched_getaffinity(0)))
    tests.repro(checkout, *(["taskset", "--cpu-list", core] if cores == "one" else []), **more)
    lock = YAML(typ="safe", pure=True).load(checkout / "dvc.lock")
    return {name: stage["outs"] for name, stage in lock["stages"].items()}


def main() -> int:
    """Print a line per combination; return how many differ from the first."""
    first, different = None, 0
    for threads, cores, workers in itertools.product(THREADS, CORES, WORKERS):
        with tempfile.TemporaryDirectory() as folder:
            found = outputs(Path(folder) / "checkout", threads, cores, workers)
        first = first or found
        unequal = sorted(name for name in first if found.get(name) != first[name])
        different += bool(unequal)
        verdict = f"differs in {', '.join(unequal)}" if unequal else "the same"
        said = threads or "unset"
        print(f"OMP_NUM_THREADS {said}, cores {cores}, workers {workers}: {verdict}", flush=True)
    return different


if __name__ == "__main__":
    sys.exit(main())
