"""`make repro`: `dvc repro`, with the baseline's branch beside GGN's where each needs one core.

DVC runs one stage at a time, but two calls of it may work on different stages. On a machine with a
GPU one training has it alone, so there this is `dvc repro` and nothing else.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO

from pipelines.stage import read_params

DVC = [sys.executable, "-m", "dvc"]
PREPARE = ["prepare@*"]
AFFINITY = ["train_affinity@*"]
BASELINE = ["train_detector@*-baseline", "predict@*-baseline", "evaluate@*-baseline"]
GGN = [
    "extract_regions@*",
    "score_candidates@*",
    "select_pseudo_gt@*",
    "train_detector@*-ggn",
    "predict@*-ggn",
    "evaluate@*-ggn",
]
AFFINITY_QUALITY = ["evaluate_affinity@*"]
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Reproduce the active splits and return the exit status of `dvc repro`.

    A call runs its own stages and no others, because DVC does not look at a stage whose outputs
    another call is reading. The last call runs `compare`, which needs both branches, and whatever
    did not run because a stage before it failed. GGN's branch is the longer one, so the baseline's
    leaves it the cores where both want them.
    """
    _end_with_parent()
    status = [*DVC, "status", "--quiet"]
    if is_worth_it() and subprocess.run(status, check=False).returncode:  # noqa: S603
        if failed := _start("repro", "--glob", *PREPARE).wait():
            return failed
        only = ("repro", "--single-item", "--glob")
        affinity, baseline = _start(*only, *AFFINITY), _start(*only, *BASELINE, behind=True)
        calls = [affinity, baseline]
        signal.signal(signal.SIGTERM, lambda *_: _terminate(calls))
        for first, then, behind in ((affinity, GGN, False), (baseline, AFFINITY_QUALITY, True)):
            if first.wait():
                break
            calls.append(_start(*only, *then, behind=behind))
        for call in calls:
            call.wait()
    return _start("repro").wait()


def is_worth_it() -> bool:
    """Whether there are cores for two trainings, no GPU to share, and no order between splits."""
    cores = len(os.sched_getaffinity(0))
    return cores > 1 and shutil.which("nvidia-smi") is None and not read_params().get("inherited")


def _start(*words: str, behind: bool = False) -> subprocess.Popen[str]:
    """Start DVC, which ends with this process.

    `behind` starts it at a low priority, with a label before each of its lines.
    """
    pipe = subprocess.PIPE if behind else None
    process = subprocess.Popen(  # noqa: S603
        [*DVC, *words],
        stdout=pipe,
        stderr=pipe and subprocess.STDOUT,
        text=True,
        preexec_fn=_fall_behind if behind else _end_with_parent,
    )
    if process.stdout is not None:
        threading.Thread(target=_print, args=(process.stdout,), daemon=True).start()
    return process


def _print(lines: IO[str]) -> None:
    for line in lines:
        if line.strip():
            sys.stdout.write(f"baseline: {line}")
            sys.stdout.flush()


def _fall_behind() -> None:
    """Let processes of the usual priority go first."""
    _end_with_parent()
    os.nice(10)


def _end_with_parent() -> None:
    """Have the system terminate this process (Linux) when its parent ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _terminate(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.terminate()
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:  # DVC and its stages have it, too
        raise SystemExit(128 + signal.SIGINT) from None
