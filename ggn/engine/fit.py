"""Lightning's trainer as we use it: deterministic, in one thread, on one process or many."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ggn.engine.batches import TrainingData
from ggn.engine.params import TrainingParams
from ggn.engine.precision import choose_precision, warn_if_emulated
from ggn.engine.resuming import SaveLast
from ggn.engine.threads import one_thread

_log = logging.getLogger(__name__)


def processes_and_machines(devices: int) -> tuple[int, int]:
    """Return (processes of each machine, machines): what torchrun or SLURM says, or `devices`.

    On a machine with GPUs, `devices` is at most their number.

    Raises:
        ValueError: SLURM was asked for several tasks and has not started this process as one.
    """
    if TorchElasticEnvironment.detect():
        local, world = (int(os.environ[key]) for key in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        return local, world // local
    if SLURMEnvironment.detect() and (tasks := int(os.environ["SLURM_NTASKS"])) > 1:
        return _tasks_of_slurm(tasks)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else devices
    if gpus < devices:
        have = f"{gpus} GPU{'s' * (gpus > 1)}: training on {'those' if gpus > 1 else 'that'}"
        _log.warning("devices is %d, but this machine has %s", devices, have)
    return min(devices, gpus), 1


def _tasks_of_slurm(tasks: int) -> tuple[int, int]:
    """Return (processes of each machine, machines) of a step that srun has started."""
    if "SLURM_STEP_ID" not in os.environ:
        raise ValueError(
            f"SLURM_NTASKS is {tasks}, but srun has not started this process, which would wait for "
            "the others for ever: put srun before the command, or ask for one task (--ntasks=1)"
        )
    machines = int(os.environ.get("SLURM_NNODES", "1"))
    if tasks % machines:
        raise ValueError(f"SLURM_NTASKS is {tasks}, which {machines} machines can't share equally")
    # Lightning refuses --ntasks without it
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(tasks // machines))
    return tasks // machines, machines


def _starter() -> list[Any]:
    """Under SLURM with one task, start the processes ourselves, so that `devices` counts."""
    alone = SLURMEnvironment.detect() and os.environ["SLURM_NTASKS"] == "1"
    return [LightningEnvironment()] if alone and not TorchElasticEnvironment.detect() else []


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
    warn_if_emulated(params.precision, "cuda" if torch.cuda.is_available() else "cpu")
    with _quiet():
        return L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            devices=devices,
            num_nodes=machines,
            plugins=_starter(),
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
            enable_progress_bar=False,  # ShowProgress does that
        )


def fit(
    module: L.LightningModule, data: TrainingData, trainer: L.Trainer, resume: Path | None
) -> None:
    """Run the training to its end, from the checkpoint if there is one.

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
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
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
