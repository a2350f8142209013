"""A training ends in the same weights, however it is run, and says what stops it."""

import csv
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from ggn.engine.batches import TrainingData
from ggn.engine.fit import fit, make_trainer
from ggn.engine.optimisation import total_steps
from ggn.engine.params import TrainingParams
from ggn.engine.resuming import resume_path
from ggn.engine.training import Training

IMAGES = 7
PARAMS = TrainingParams(
    epochs=3,
    batch_size=2,
    lr=0.1,
    warmup_steps=3,
    milestones=[2],
    checkpoint_steps=5,
    precision="32-true",
)
STEPS = total_steps(PARAMS, IMAGES)


class Batch(NamedTuple):
    images: Tensor
    image_ids: list[int]


class Line(Training):
    """Fits zero to three numbers; remembers what it saw; dies where it is told to."""

    def __init__(self, die_at: int | None = None, terminated: bool = False) -> None:
        super().__init__(PARAMS, IMAGES, seed=5)
        self._terminated = terminated
        torch.manual_seed(0)
        self.network = nn.Linear(3, 1)
        self.seen: list[tuple[int, tuple[int, ...]]] = []
        self._die_at = die_at

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        if self.trainer.global_step == self._die_at:
            if not self._terminated:
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGTERM)
        self.seen.append((self.trainer.global_step, tuple(batch.image_ids)))
        return {"loss": self.network(batch.images).square().mean()}


def samples(poisoned: int | None = None) -> list[tuple[Tensor, int]]:
    values = [torch.full((3,), float(i)) / IMAGES for i in range(IMAGES)]
    return [(v / 0 * 0 if i == poisoned else v, 100 + i) for i, v in enumerate(values)]


def add_noise(sample: tuple[Tensor, int], generator: torch.Generator) -> tuple[Tensor, int]:
    return sample[0] + 0.1 * torch.rand(3, generator=generator), sample[1]


def stack(batch: Sequence[tuple[Tensor, int]]) -> Batch:
    return Batch(torch.stack([values for values, _ in batch]), [image_id for _, image_id in batch])


def train(scratch: Path, module: Line, poisoned: int | None = None, **options: Any) -> L.Trainer:
    params = TrainingParams.model_validate({**PARAMS.model_dump(), **options.pop("params", {})})
    module.params = params
    data = TrainingData(
        samples(poisoned), params=params, steps=STEPS, seed=5, prepare=add_noise, collate=stack
    )
    resume = resume_path(scratch, {"run": 1})
    trainer = make_trainer(params, steps=STEPS, scratch_dir=scratch, **options)
    fit(module, data, trainer, resume)
    return trainer


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    undisturbed, killed, resumed = Line(), Line(die_at=8), Line()
    train(tmp_path / "a", undisturbed)
    with pytest.raises(SystemExit):
        train(tmp_path / "b", killed)
    trainer = train(tmp_path / "b", resumed)
    assert trainer.global_step == STEPS == 12
    assert [step for step, _ in resumed.seen] == list(range(5, 12))  # from the checkpoint at 5
    assert undisturbed.seen == killed.seen[:5] + resumed.seen
    assert torch.equal(undisturbed.network.weight, resumed.network.weight)
    assert torch.equal(undisturbed.network.bias, resumed.network.bias)


def test_a_terminated_run_does_not_read_as_success(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        train(tmp_path, Line(die_at=3, terminated=True))
    assert end.value.code == 143


def test_reading_processes_change_nothing(tmp_path: Path) -> None:
    alone, helped = Line(), Line()
    train(tmp_path / "a", alone)
    train(tmp_path / "b", helped, params={"workers": 1})
    assert alone.seen == helped.seen
    assert torch.equal(alone.network.weight, helped.network.weight)


def test_a_loss_that_is_not_finite_stops_with_the_image_ids(tmp_path: Path) -> None:
    module = Line()
    with pytest.raises(FloatingPointError, match=r"loss is nan at step \d, on .*\b103\b") as stop:
        train(tmp_path, module, poisoned=3)
    assert all(str(image_id) in str(stop.value) for image_id in module.seen[-1][1])
    assert torch.isfinite(module.network.weight).all()  # nothing was learned from it


def test_curves_go_to_the_logger(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="curves")
    train(tmp_path / "scratch", Line(), logger=logger, params={"log_steps": 4})
    rows = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    assert "train/loss" in rows[0]
    assert len(rows) == 1 + STEPS // 4


def test_the_curve_has_the_losses_and_the_rates_that_the_optimiser_had(tmp_path: Path) -> None:
    logger, module = CSVLogger(tmp_path, name="curves"), Line()
    train(tmp_path / "scratch", module, logger=logger, params={"log_steps": 1})
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    curve = module.curve()
    assert [point["step"] for point in curve] == [*range(1, STEPS + 1)]
    for name in ("loss", "lr"):
        logged = [float(row[f"train/{name}"]) for row in rows]
        assert [point[name] for point in curve] == pytest.approx(logged, rel=1e-5)
    assert curve[0]["lr"] < curve[2]["lr"] > curve[-1]["lr"]  # the warm-up and the drop


def test_without_a_terminal_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, Line())
    assert "".join(capfd.readouterr()) == ""


def test_training_leaves_torch_as_it_was(tmp_path: Path) -> None:
    states = []

    class Spy(Line):
        def on_train_start(self) -> None:
            states.append(torch.are_deterministic_algorithms_enabled())

    train(tmp_path, Spy())
    assert states == [True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_gradients_are_clipped_to_their_limit(tmp_path: Path) -> None:
    free, clipped, start = Line(), Line(), Line()
    train(tmp_path / "a", free)
    train(tmp_path / "b", clipped, params={"gradient_clip": 1e-6})
    moved = [
        (module.network.weight - start.network.weight).norm().item() for module in (free, clipped)
    ]
    assert moved[1] < 0.02 * moved[0]  # the weight decay alone


def test_a_damaged_checkpoint_is_put_aside_and_the_training_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk or a power cut leaves such a file; no later start may end at it."""
    undisturbed, anew = Line(), Line()
    train(tmp_path / "a", undisturbed)
    with pytest.raises(SystemExit):
        train(tmp_path / "b", Line(die_at=8))
    checkpoint = tmp_path / "b" / "last.ckpt"
    damaged = checkpoint.read_bytes()[:100]
    checkpoint.write_bytes(damaged)
    train(tmp_path / "b", anew)
    assert "last.ckpt: damaged" in caplog.text
    assert anew.seen == undisturbed.seen
    assert torch.equal(undisturbed.network.weight, anew.network.weight)
    assert (tmp_path / "b" / "last.damaged.ckpt").read_bytes() == damaged


def test_a_checkpoint_comes_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggn.engine.resuming.CHECKPOINT_SECONDS", 0.0)
    resumed = Line()
    with pytest.raises(SystemExit):
        train(tmp_path, Line(die_at=3), params={"checkpoint_steps": 1000})
    train(tmp_path, resumed, params={"checkpoint_steps": 1000})
    assert resumed.seen[0][0] == 3


def test_a_job_of_one_task_trains_on_the_processes_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would take the one task of SLURM, and ignore `devices` without a word."""
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    params = TrainingParams.model_validate({**PARAMS.model_dump(), "devices": 2})
    assert make_trainer(params, steps=1, scratch_dir=tmp_path).world_size == 2
