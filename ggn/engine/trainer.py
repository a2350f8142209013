"""How a training runs: Lightning's trainer, the order of the data, resuming, stopping on NaN."""

import hashlib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ggn.engine.params import TrainingParams
from ggn.engine.precision import choose_precision
from ggn.engine.processes import raise_together, require_same
from ggn.engine.threads import one_thread


def sample_generator(seed: int, key: int) -> torch.Generator:
    """Return the random numbers of one draw: a function of the seed and the draw's key alone."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class DrawOrder(Sampler[int]):
    """The keys of one device's draws from `start_step` to the end.

    Draw d (= step × batch_size + place in the batch) takes the image at place d mod n of epoch
    d div n's permutation, and has the key `epoch × n + image`: unique, so that it can seed the
    draw's augmentation. Everything follows from (seed, step); nothing has to be remembered.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        steps: int,
        seed: int,
        *,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(
                f"batch_size {batch_size} must be a multiple of the {world_size} devices"
            )
        self.images, self.batch_size, self.steps, self.seed = images, batch_size, steps, seed
        self.start_step, self.rank, self.world_size = start_step, rank, world_size

    def __len__(self) -> int:
        """Draws of the whole training: a resumed one counts its steps from the very start."""
        return self.steps * self.batch_size // self.world_size

    def __iter__(self) -> Iterator[int]:
        share = self.batch_size // self.world_size
        epoch, order = -1, torch.empty(0)
        for step in range(self.start_step, self.steps):
            first = step * self.batch_size + self.rank * share
            for draw in range(first, first + share):
                if draw // self.images != epoch:
                    epoch = draw // self.images
                    generator = sample_generator(self.seed, epoch)
                    order = torch.randperm(self.images, generator=generator)
                yield epoch * self.images + int(order[draw % self.images])


class Draws(Dataset[Any]):
    """`prepare(sample, generator)` of a map-style dataset's samples, addressed by draw keys."""

    def __init__(
        self, samples: Any, seed: int, prepare: Callable[[Any, torch.Generator], Any]
    ) -> None:
        self.samples, self.seed, self.prepare = samples, seed, prepare

    def __getitem__(self, key: int) -> Any:
        """Return the prepared sample of a key of `DrawOrder`."""
        sample = self.samples[key % len(self.samples)]
        return self.prepare(sample, sample_generator(self.seed + 1, key))


class Batches(DataLoader[Any]):
    """A loader whose failure to read a sample stops all processes, with the same message."""

    def __iter__(self) -> Any:
        batches = super().__iter__()
        while True:
            try:
                batch, error = next(batches), None
            except StopIteration:
                return
            except Exception as failure:
                batch, error = None, failure
            raise_together(error)
            yield batch


class TrainingData(L.LightningDataModule):
    """The training batches in `DrawOrder`, from the step that the trainer is at."""

    def __init__(
        self,
        samples: Any,
        *,
        params: TrainingParams,
        steps: int,
        seed: int,
        prepare: Callable[[Any, torch.Generator], Any],
        collate: Callable[[list[Any]], Any],
    ) -> None:
        super().__init__()
        self.samples, self.params, self.steps, self.seed = samples, params, steps, seed
        self.prepare, self.collate = prepare, collate

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the remaining steps (Lightning asks after it has resumed)."""
        assert self.trainer is not None  # noqa: S101 - for mypy; Lightning has attached it
        require_same(
            self.trainer.global_step, "the step to go on from; they need one common scratch folder"
        )
        order = DrawOrder(
            len(self.samples),
            self.params.batch_size,
            self.steps,
            self.seed,
            start_step=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return Batches(
            Draws(self.samples, self.seed, self.prepare),
            batch_size=self.params.batch_size // self.trainer.world_size,
            sampler=order,
            num_workers=self.params.workers,
            collate_fn=self.collate,
            persistent_workers=self.params.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class StopOnNonFiniteLoss(L.Callback):
    """Stops the training with the ids of the batch's images when a loss is not finite."""

    def __init__(self, image_ids: Callable[[Any], Sequence[Any]]) -> None:
        self._image_ids = image_ids
        self._batch: Any = None

    def on_train_batch_start(
        self, _trainer: L.Trainer, _module: L.LightningModule, batch: Any, *_: Any
    ) -> None:
        """Remember the batch."""
        self._batch = batch

    def on_before_backward(
        self, trainer: L.Trainer, _module: L.LightningModule, loss: Tensor
    ) -> None:
        """Raise FloatingPointError before anything is learned from such a loss."""
        error = None
        if not bool(torch.isfinite(loss)):
            ids = [str(i) for i in self._image_ids(self._batch)]
            error = FloatingPointError(
                f"loss is {loss.item()} at step {trainer.global_step}, "
                f"on the images with ids {', '.join(ids)}"
            )
        raise_together(error)


class SaveLast(L.Callback):
    """Writes `scratch_dir/last.ckpt` every `every` steps, whole or not at all."""

    def __init__(self, scratch_dir: Path, every: int) -> None:
        self._path, self._every = scratch_dir / "last.ckpt", every

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Save after every `every`-th step."""
        if trainer.global_step % self._every == 0:
            temporary = self._path.with_suffix(".tmp")
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(self._path)


def resume_path(
    scratch_dir: str | Path, identity: dict[str, Any], *, main: bool = True
) -> Path | None:
    """Return the checkpoint of an interrupted run of the same `identity`, or None.

    `identity` is JSON data that says which run this is (params, seed, data). What another run left
    there is deleted by the `main` process: going on from it would mix two recipes.
    """
    scratch_dir = Path(scratch_dir)
    text = json.dumps(identity, sort_keys=True, indent=2)
    stamp, checkpoint = scratch_dir / "identity.json", scratch_dir / "last.ckpt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == text:
        return checkpoint if checkpoint.is_file() else None
    if not main:
        return None
    clear_scratch(scratch_dir)
    scratch_dir.mkdir(parents=True, exist_ok=True)
    temporary = stamp.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(stamp)
    return None


def clear_scratch(scratch_dir: str | Path) -> None:
    """Delete the resume state, once its run has ended; other files of the folder stay."""
    for name in ("last.ckpt", "last.tmp", "identity.json", "identity.tmp"):
        (Path(scratch_dir) / name).unlink(missing_ok=True)


def processes_and_machines(devices: int) -> tuple[int, int]:
    """Return (processes of each machine, machines): what torchrun or SLURM says, or `devices`."""
    if TorchElasticEnvironment.detect():
        local, world = (int(os.environ[key]) for key in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        return local, world // local
    if SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        machines = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // machines, machines
    return devices, 1


def make_trainer(
    params: TrainingParams,
    *,
    steps: int,
    scratch_dir: str | Path,
    logger: Logger | None = None,
    callbacks: Sequence[L.Callback] = (),
) -> L.Trainer:
    """Return the trainer of one training: deterministic, with checkpoints, quiet without a tty."""
    Path(scratch_dir).mkdir(parents=True, exist_ok=True)
    devices, machines = processes_and_machines(params.devices)
    with _quiet():
        return L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            devices=devices,
            num_nodes=machines,
            strategy="ddp" if devices * machines > 1 else "auto",
            precision=choose_precision(params.precision),  # type: ignore[arg-type]
            logger=logger or False,
            callbacks=[*callbacks, SaveLast(Path(scratch_dir), params.checkpoint_steps)],
            default_root_dir=scratch_dir,
            gradient_clip_val=params.gradient_clip,
            log_every_n_steps=params.log_steps,
            benchmark=False,
            use_distributed_sampler=False,  # DrawOrder shares the draws out itself
            enable_checkpointing=False,  # SaveLast does it
            enable_model_summary=False,
            enable_progress_bar=sys.stdout.isatty(),
        )


def fit(
    module: L.LightningModule, data: TrainingData, trainer: L.Trainer, resume: Path | None
) -> None:
    """Run the training to its end, from the checkpoint where there is one.

    Raises:
        SystemExit: with status 143 if the process is terminated (SIGTERM), as by a cluster.
    """
    with warnings.catch_warnings(), _quiet(), _deterministic(), one_thread():
        # Lightning's own use of deprecated torch calls, and advice that our choices answer.
        for message in (
            ".*LeafSpec.*",
            ".*does not have many workers.*",
            ".*your dataloader is not resumable.*",
            ".*in eval mode at the start of training.*",
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        except SIGTERMException as end:  # a SystemExit without a code, which reads as success
            raise SystemExit(128 + signal.SIGTERM) from end
        except Exception:
            launcher = trainer.strategy.launcher
            if isinstance(launcher, _SubprocessScriptLauncher):
                launcher.kill(signal.SIGKILL)  # they may wait for this process for ever
                launcher.procs.clear()  # or Lightning kills this process for their death
            raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes on devices and on other products out of the output."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Take deterministic algorithms where there are any (torch warns where not), then restore."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
