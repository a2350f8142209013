"""Several processes share a training: the curve of one, resumed after a kill, stopped together."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file

from ggn.detector import train_detector
from ggn.detector.params import DetectorParams
from ggn.engine.fit import processes_and_machines
from ggn.engine.processes import (
    first_decides,
    loss_divisor,
    mean_over_processes,
    raise_together,
    require_same,
)

LIGHTNING = [sys.executable, __file__]
TORCHRUN = [
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--standalone", "--nproc-per-node=2", __file__),
]
LIMIT = 120  # seconds after which a start counts as hanging
PARAMS: dict[str, Any] = {
    "epochs": 8,
    "batch_size": 2,
    "lr_batch_size": None,
    "lr": 0.01,
    "warmup_steps": 0,
    "milestones": [],
    "precision": "32-true",
    "checkpoint_steps": 6,
    "log_steps": 1,
    "devices": 2,
    "max_size": [64, 64],
    "fpn_channels": 16,
    "roi_sampling_ratio": 1,
    "roi_level_scale": 28,
    "backbone": {
        "name": "resnet10",
        "width": 8,
        "norm": "group",
        "weights": None,
        "frozen_stages": 0,
    },
    # All anchors and regions are trained on: which are drawn depends on the number of processes.
    "rpn": {"anchor_scale": 3, "samples": 1000, "positive_fraction": 1.0, "proposals": 50},
    "box": {"pool_size": 3, "channels": 16, "samples": 1000, "positive_fraction": 1.0},
    "mask": {"pool_size": 5, "convolutions": 1, "channels": 8, "norm": "group"},
}


def make_run(folder: Path, coco: Path, **changes: Any) -> Path:
    """A folder with what `main` reads."""
    dataset = json.loads((coco / "annotations" / "instances_train2017.json").read_text())
    recipe = {
        "params": {**PARAMS, **changes},
        "dataset": dataset,
        "images": str(coco / "train2017"),
    }
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def main(folder: Path) -> None:
    """Train as the recipe of the folder says: what every started process does."""
    recipe = json.loads((folder / "recipe.json").read_text())
    train_detector(
        DetectorParams.model_validate(recipe["params"]),
        recipe["dataset"],
        recipe["images"],
        folder / "out",
        folder / "scratch",
        seed=0,
        logger=CSVLogger(folder, name="curves"),
    )


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*command, str(folder)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and standard error of a start and all its processes, which must end."""
    try:
        _, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        kill_all(process)
        pytest.fail("hangs")
    return process.returncode, errors


def kill_all(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def curve(folder: Path) -> list[float]:
    """The losses that the last start logged."""
    *_, last = sorted((folder / "curves").glob("*/metrics.csv"))
    with last.open() as rows:
        return [float(row["train/loss"]) for row in csv.DictReader(rows)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_processes_killed_and_resumed_learn_what_one_does(
    tmp_path: Path, tiny_coco: Path
) -> None:
    alone = make_run(tmp_path / "alone", tiny_coco, devices=1)
    main(alone)
    two = make_run(tmp_path / "two", tiny_coco)
    process = start(LIGHTNING, two)
    deadline = time.monotonic() + LIMIT
    while not (two / "scratch" / "last.ckpt").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    kill_all(process)  # the way a machine dies
    assert not (two / "out").exists()
    assert finish(start(TORCHRUN, two))[0] == 0

    whole, rest = curve(alone), curve(two)
    assert (len(whole), len(rest)) == (16, 10)  # the checkpoint was at 6
    assert rest == pytest.approx(whole[6:], rel=1e-4)
    losses = [
        json.loads((run / "out" / "card.json").read_text())["training"]["loss"]
        for run in (alone, two)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)  # the mean of all 16 steps
    first, second = (load_file(run / "out" / "weights.safetensors") for run in (alone, two))
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-3, atol=1e-5)
    assert files(two / "out") == ["card.json", "weights.safetensors"]
    assert files(two / "scratch") == []


def test_an_image_that_fails_stops_all_processes(tmp_path: Path, tiny_coco: Path) -> None:
    (tiny_coco / "train2017" / "grey.png").write_bytes(b"no picture")  # image 9
    run = make_run(tmp_path / "run", tiny_coco)
    status, errors = finish(start(LIGHTNING, run))
    assert status != 0
    assert "image 9: " in errors
    assert "grey.png" in errors
    assert not (run / "out").exists()


def test_alone_every_function_is_the_identity() -> None:
    values = torch.tensor([1.0, 2.0])
    assert mean_over_processes(values) is values
    assert [loss_divisor(count, values.device) for count in (0, 1, 7)] == [1, 1, 7]
    raise_together(None)
    with pytest.raises(KeyError, match="mine"):
        raise_together(KeyError("mine"))
    require_same(3, "anything")
    assert first_decides(True)
    assert not first_decides(False)


def test_a_launcher_says_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_NTASKS", "SLURM_NNODES", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert processes_and_machines(3) == (3, 1)
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    monkeypatch.setenv("SLURM_NTASKS", "1")  # a job that starts its processes itself
    assert processes_and_machines(3) == (3, 1)
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    with pytest.raises(ValueError, match="SLURM_NTASKS is 8, but srun has not started this"):
        processes_and_machines(1)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    assert processes_and_machines(1) == (4, 2)
    assert os.environ["SLURM_NTASKS_PER_NODE"] == "4"  # or Lightning refuses --ntasks=8
    monkeypatch.setenv("SLURM_NNODES", "3")
    with pytest.raises(ValueError, match="is 8, which 3 machines can't share"):
        processes_and_machines(1)
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert processes_and_machines(1) == (2, 3)


def test_a_machine_with_fewer_gpus_trains_on_what_it_has(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row says two processes, so that every CPU gets its numbers; one GPU has to do, too."""
    for name in ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert processes_and_machines(1) == (1, 1)
    assert caplog.text == ""
    assert processes_and_machines(2) == (1, 1)
    assert "devices is 2, but this machine has 1 GPU: training on that" in caplog.text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
