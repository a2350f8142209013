"""A stage as a process: its end with its parent, one owner, one sentence for what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SLEEPER = """
import time
from pipelines.stage import open_stage, run_stage

def main(split: str) -> None:
    with open_stage("sleeper", split) as run:
        (run.scratch / "pid").write_text(str(__import__("os").getpid()))
        {body}

if __name__ == "__main__":
    run_stage(main)
"""
QUIET = {"MLFLOW_TRACKING_URI": "sqlite:////dev/null/none"}  # such runs are kept


@pytest.fixture
def other(make_checkout: Callable[[], Any]) -> Any:
    checkout = make_checkout()
    write_stage(checkout, "time.sleep(60)")
    return checkout


def write_stage(checkout: Any, body: str) -> None:
    (checkout.folder / "pipelines/sleeper.py").write_text(SLEEPER.format(body=body))


def wait_for(ready: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def owner(checkout: Any) -> int:
    """Wait until the stage is at work; its process."""
    files = lambda: [*checkout.folder.glob(".scratch/sleeper/shapes/*/pid")]  # noqa: E731
    return int(wait_for(lambda: files() and files()[0].read_text()))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


DVC = """
stages:
  sleeper:
    cmd: python -m pipelines.sleeper shapes
    deps: [pipelines]
"""


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_stage_ends_when_the_dvc_that_started_it_is_ended(
    other: Any, end: signal.Signals, shell: str
) -> None:
    """Debian's sh stays between DVC and the stage; bash makes way for the stage."""
    pytest.importorskip("dvc", reason="needs ggn[mlops]")
    (other.folder / "dvc.yaml").write_text(DVC)
    parent = other.start("-m", "dvc", "repro", SHELL=shell, **QUIET)
    pid = owner(other)
    assert is_alive(pid)
    parent.send_signal(end)
    parent.communicate(timeout=20)  # reads until the stage, too, has closed its output
    wait_for(lambda: not is_alive(pid), seconds=10)


def test_a_stage_whose_parent_lives_goes_on(other: Any) -> None:
    write_stage(other, "time.sleep(2)")
    answer = other.run("-m", "pipelines.sleeper", "shapes", **QUIET)
    assert answer.returncode == 0, answer.stderr


def test_a_scratch_folder_has_one_owner(other: Any) -> None:
    first = other.start("-m", "pipelines.sleeper", "shapes", **QUIET)
    pid = owner(other)
    second = other.run("-m", "pipelines.sleeper", "shapes", **QUIET)
    assert second.returncode == 1
    lines = [line for line in second.stderr.splitlines() if "kept in" not in line]
    assert len(lines) == 1, second.stderr
    assert lines[0].startswith(f".scratch/sleeper/shapes: process {pid} on ")
    assert "wait for it, or end it" in lines[0]
    first.kill()
    first.communicate()
    write_stage(other, "pass")  # another state of the same stage: the lock went with its owner
    third = other.run("-m", "pipelines.sleeper", "shapes", **QUIET)
    assert third.returncode == 0, third.stderr
    assert not [*other.folder.glob(".scratch/sleeper/shapes/owner.lock")]


def handles_ctrl_c(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGINT - 1) & 1)


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 1.2, 2.4])
def test_ctrl_c_at_any_moment_leaves_no_traceback(other: Any, delay: float) -> None:
    """From the first file of ours on; before it, Ctrl-C meets Python's own start."""
    process = other.start("-m", "pipelines.train_detector", "shapes", "baseline", **QUIET)
    for handled in (True, False):  # Python's handler is set, then ours takes it away
        while handles_ctrl_c(process.pid) != handled:
            assert process.poll() is None
            time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in output


def mounted(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path, str], None]]:
    """Mounts small file systems, as root may, and takes them away."""
    places: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not mounted(folder, f"size={size}"):
            pytest.skip("needs the right to mount a tmpfs")
        places.append(folder)

    yield mount
    for folder in reversed(places):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def the_sentence(answer: subprocess.CompletedProcess[str]) -> str:
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    tracking = ("kept in", "tracking stopped", "kept, not delivered")
    lines = [x for x in answer.stderr.splitlines() if not any(t in x for t in tracking)]
    assert len(lines) == 1, answer.stderr
    return lines[0]


def test_a_full_disk_is_one_sentence_and_the_command_goes_on_after_room_was_made(
    other: Any, small_disk: Callable[[Path, str], None]
) -> None:
    small_disk(other.folder / "data", "200k")
    filler = other.folder / "data/filler"
    filler.write_bytes(bytes(190_000))
    told = the_sentence(other.run("-m", "pipelines.prepare", "shapes", **QUIET))
    assert "no space left: " in told
    assert f"MB free here ({other.folder})" in told
    assert "make room, then repeat the command" in told
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", other.folder / "data"], check=True)
    answer = other.run("-m", "pipelines.prepare", "shapes", **QUIET)
    assert answer.returncode == 0, answer.stderr


def test_a_read_only_folder_is_one_sentence(
    other: Any, small_disk: Callable[[Path, str], None]
) -> None:
    small_disk(other.folder / "data", "1m")
    subprocess.run(["mount", "-o", "remount,ro", other.folder / "data"], check=True)
    told = the_sentence(other.run("-m", "pipelines.prepare", "shapes", **QUIET))
    assert "data/shapes: Read-only file system: user " in told
    assert f"user {os.getuid()} must be able to read it" in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise FloatingPointError('loss is nan at step 1')", "loss is nan at step 1"),
        ("raise MemoryError", "memory is exhausted: choose a smaller batch_size"),
        ("raise PermissionError(13, 'Permission denied', 'x/y')", "x/y: Permission denied: user"),
        (
            "raise RuntimeError('[enforce fail at inline_container.cc:6] . unexpected pos 1 vs 2')",
            "a file: no space left: ",
        ),
        (
            "raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error. It is "
            "possible that dataloader workers are out of shared memory.')",
            "are too little for the batches of loader workers",
        ),
    ],
)
def test_an_error_of_the_machine_is_one_sentence(other: Any, body: str, told: str) -> None:
    write_stage(other, body)
    answer = other.run("-m", "pipelines.sleeper", "shapes", **QUIET)
    assert told in the_sentence(answer)


@pytest.fixture
def trainable(other: Any) -> Any:
    """A checkout whose affinity network can be trained, with two reading processes."""
    with other.params() as document:
        document["splits"]["shapes"]["affinity"] |= {"epochs": 1, "workers": 2}
    assert other.run("-m", "pipelines.prepare", "shapes", **QUIET).returncode == 0
    return other


@pytest.mark.slow
def test_too_little_shared_memory_is_one_sentence_and_the_end(trainable: Any) -> None:
    """torch leaves a batch that a reading process could not hand over to be waited for."""
    small = "mount -t tmpfs -o size=64k none /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", small], capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    train = f"{small} && exec python -m pipelines.train_affinity shapes"
    answer = trainable.run("unshare", "-m", "sh", "-c", train, **QUIET)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "/dev/shm: 0.1 MB are too little for the batches" in answer.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_job_of_slurm_without_srun_is_one_sentence_and_the_end(trainable: Any) -> None:
    """The environment of a script of sbatch that asked for two tasks; nobody starts the second."""
    words = (
        "JOB_ID=1 JOB_NAME=train NTASKS=2 NNODES=1 NODELIST=localhost PROCID=0 LOCALID=0 NODEID=0"
    )
    job = {f"SLURM_{name}": value for name, value in (word.split("=") for word in words.split())}
    answer = trainable.run("-m", "pipelines.train_affinity", "shapes", **QUIET, **job)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "put srun before the command" in answer.stderr.splitlines()[-1]


def test_a_defect_of_ours_keeps_its_traceback(other: Any) -> None:
    write_stage(other, "[][0]")
    answer = other.run("-m", "pipelines.sleeper", "shapes", **QUIET)
    assert "IndexError" in answer.stderr
    assert "Traceback" in answer.stderr


def test_the_program_says_one_sentence_too(
    other: Any, small_disk: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """`ggn group` on a full disk: its first result does not fit."""
    assert other.run("-m", "pipelines.prepare", "shapes", **QUIET).returncode == 0
    small_disk(tmp_path / "full", "4k")
    other.folder = tmp_path
    file = "other/data/shapes/prepared/annotations/instances_val.json"
    image_id = json.loads((tmp_path / file).read_text())["images"][0]["id"]
    results = [{"image_id": image_id, "category_id": 1, "bbox": [0, 0, 4, 4], "score": 0.5}]
    (tmp_path / "found.json").write_text(json.dumps(results))
    (tmp_path / "full/filler").write_bytes(bytes(4096))
    command = ["evaluate", file, "found.json", "--iou-type", "bbox", "--json", "full/numbers.json"]
    answer = other.run("ggn", *command)
    (line,) = [text for text in answer.stderr.splitlines() if text.startswith("ggn: ")]
    assert "no space left: " in line
    assert "Traceback" not in answer.stderr
    assert answer.returncode == 1
