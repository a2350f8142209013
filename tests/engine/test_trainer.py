import os
import signal
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from ggn.engine.optimisation import configure_optimizer, total_steps
from ggn.engine.params import TrainingParams
from ggn.engine.precision import choose_precision
from ggn.engine.trainer import (
    DrawOrder,
    StopOnNonFiniteLoss,
    TrainingData,
    clear_scratch,
    fit,
    make_trainer,
    resume_path,
    sample_generator,
)

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
Batch = tuple[Tensor, list[int]]


class Line(L.LightningModule):
    """Fits zero to three numbers; remembers what it saw; dies or sees NaN where it is told to."""

    def __init__(self, die_at: int | None = None, terminated: bool = False) -> None:
        super().__init__()
        self._terminated = terminated
        torch.manual_seed(0)
        self.net = nn.Linear(3, 1)
        self.seen: list[tuple[int, tuple[int, ...]]] = []
        self._die_at = die_at

    def training_step(self, batch: Batch, _: int) -> Tensor:
        if self.trainer.global_step == self._die_at:
            if not self._terminated:
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGTERM)
        self.seen.append((self.trainer.global_step, tuple(batch[1])))
        loss = self.net(batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return configure_optimizer(self.net, PARAMS, IMAGES)


def samples(poisoned: int | None = None) -> list[tuple[Tensor, int]]:
    values = [torch.full((3,), float(i)) / IMAGES for i in range(IMAGES)]
    return [(v / 0 * 0 if i == poisoned else v, 100 + i) for i, v in enumerate(values)]


def add_noise(sample: tuple[Tensor, int], generator: torch.Generator) -> tuple[Tensor, int]:
    return sample[0] + 0.1 * torch.rand(3, generator=generator), sample[1]


def stack(batch: Sequence[tuple[Tensor, int]]) -> Batch:
    return torch.stack([values for values, _ in batch]), [image_id for _, image_id in batch]


def train(scratch: Path, module: Line, poisoned: int | None = None, **options: Any) -> L.Trainer:
    params = TrainingParams.model_validate({**PARAMS.model_dump(), **options.pop("params", {})})
    data = TrainingData(
        samples(poisoned), params=params, steps=STEPS, seed=5, prepare=add_noise, collate=stack
    )
    resume = resume_path(scratch, {"run": 1})
    stop = StopOnNonFiniteLoss(lambda batch: batch[1])
    trainer = make_trainer(params, steps=STEPS, scratch_dir=scratch, callbacks=[stop], **options)
    fit(module, data, trainer, resume)
    return trainer


# --- the order of the data ---


def test_every_epoch_draws_every_image_once() -> None:
    keys = list(DrawOrder(images=4, batch_size=2, steps=6, seed=0))
    assert len(set(keys)) == 12
    for epoch in range(3):
        part = keys[4 * epoch : 4 * epoch + 4]
        assert sorted(part) == [4 * epoch + i for i in range(4)]
    assert len({tuple(k % 4 for k in keys[i : i + 4]) for i in (0, 4, 8)}) > 1


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (list(DrawOrder(50, 5, 10, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@settings(deadline=None, max_examples=50)
@given(
    images=st.integers(1, 9),
    share=st.integers(1, 4),
    devices=st.integers(1, 3),
    steps=st.integers(1, 8),
    start=st.integers(0, 8),
)
def test_a_resumed_or_shared_order_is_a_part_of_the_whole(
    images: int, share: int, devices: int, steps: int, start: int
) -> None:
    batch = share * devices
    whole = list(DrawOrder(images, batch, steps, seed=3))
    assert len(whole) == batch * steps
    later = list(DrawOrder(images, batch, steps, seed=3, start_step=start))
    assert later == whole[start * batch :]
    by_device = [
        list(DrawOrder(images, batch, steps, seed=3, rank=rank, world_size=devices))
        for rank in range(devices)
    ]
    for step in range(steps):
        parts = [keys[step * share : (step + 1) * share] for keys in by_device]
        assert [*chain(*parts)] == whole[step * batch : (step + 1) * batch]


def test_a_batch_that_devices_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 3 must be a multiple of the 2 devices"):
        DrawOrder(5, 3, 1, 0, world_size=2)


def test_random_numbers_follow_seed_and_key() -> None:
    draws = {(s, k): torch.rand(1, generator=sample_generator(s, k)).item() for s, k in PAIRS}
    again = {(s, k): torch.rand(1, generator=sample_generator(s, k)).item() for s, k in PAIRS}
    assert draws == again
    assert len(set(draws.values())) == len(PAIRS)


PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1), (11, 1), (1, 11)]


# --- running ---


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    undisturbed, killed, resumed = Line(), Line(die_at=8), Line()
    train(tmp_path / "a", undisturbed)
    with pytest.raises(SystemExit):
        train(tmp_path / "b", killed)
    trainer = train(tmp_path / "b", resumed)
    assert trainer.global_step == STEPS == 12
    assert [step for step, _ in resumed.seen] == list(range(5, 12))  # from the checkpoint at 5
    assert undisturbed.seen == killed.seen[:5] + resumed.seen
    assert torch.equal(undisturbed.net.weight, resumed.net.weight)
    assert torch.equal(undisturbed.net.bias, resumed.net.bias)


def test_a_terminated_run_does_not_read_as_success(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        train(tmp_path, Line(die_at=3, terminated=True))
    assert end.value.code == 143


def test_reading_processes_change_nothing(tmp_path: Path) -> None:
    alone, helped = Line(), Line()
    train(tmp_path / "a", alone)
    train(tmp_path / "b", helped, params={"workers": 1})
    assert alone.seen == helped.seen
    assert torch.equal(alone.net.weight, helped.net.weight)


def test_a_loss_that_is_not_finite_stops_with_the_image_ids(tmp_path: Path) -> None:
    module = Line()
    with pytest.raises(FloatingPointError, match=r"loss is nan at step \d, on .*\b103\b") as stop:
        train(tmp_path, module, poisoned=3)
    assert all(str(image_id) in str(stop.value) for image_id in module.seen[-1][1])
    assert torch.isfinite(module.net.weight).all()  # nothing was learned from it


def test_curves_go_to_the_logger(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="curves")
    train(tmp_path / "scratch", Line(), logger=logger, params={"log_steps": 4})
    rows = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    assert "train/loss" in rows[0]
    assert len(rows) == 1 + STEPS // 4


def test_without_a_terminal_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, Line())
    assert "".join(capfd.readouterr()) == ""


# --- the resume state ---


def test_only_the_same_run_resumes(tmp_path: Path) -> None:
    other_file = tmp_path / "notes.txt"
    other_file.write_text("keep me")
    assert resume_path(tmp_path, {"lr": 0.1}) is None
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(b"state")
    assert resume_path(tmp_path, {"lr": 0.1}) == checkpoint
    assert resume_path(tmp_path, {"lr": 0.2}) is None
    assert not checkpoint.exists()
    clear_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == [other_file]


def test_the_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    train(tmp_path, Line())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["identity.json", "last.ckpt"]
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)  # no pickled objects in it
    assert state["global_step"] == 10


# --- precision ---


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_named_precision_is_taken(name: str) -> None:
    assert choose_precision(name) == name


@pytest.mark.parametrize(
    ("cuda", "cuda_bf16", "expected"),
    [(True, True, "bf16-mixed"), (True, False, "32-true"), (False, True, "32-true")],
)
def test_auto_precision(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, cuda_bf16: bool, expected: str
) -> None:
    """On a CPU always float32, whatever the processor: results must not depend on its kind."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: cuda_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert choose_precision() == expected


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
    moved = [(module.net.weight - start.net.weight).norm().item() for module in (free, clipped)]
    assert moved[1] < 0.02 * moved[0]  # the weight decay alone
