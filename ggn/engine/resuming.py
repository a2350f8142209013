"""Checkpoints from which a training that was killed goes on."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ggn.core.files import write_text
from ggn.engine.processes import first_decides

CHECKPOINT_SECONDS = 100.0
"""A kill costs no more than this, or `checkpoint_steps`, and the last step."""

_log = logging.getLogger(__name__)


class SaveLast(L.Callback):
    """Writes `scratch_dir/last.ckpt`, whole or not at all, and only after finite losses.

    It does so every `every` steps, and when the last time is `CHECKPOINT_SECONDS` ago. When it is
    written changes no result.
    """

    def __init__(self, scratch_dir: Path, every: int) -> None:
        self._path, self._every = scratch_dir / "last.ckpt", every
        self._saved = time.monotonic()

    def on_train_start(self, *_: Any) -> None:
        """Count the time from here."""
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Save after a step if it is time."""
        late = first_decides(time.monotonic() - self._saved >= CHECKPOINT_SECONDS)
        if not late and trainer.global_step % self._every != 0:
            return
        module.watch.look()  # type: ignore[union-attr, operator]
        temporary = self._path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(self._path)
        self._saved = time.monotonic()


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
        return checkpoint if checkpoint.is_file() and _is_whole(checkpoint) else None
    if not main:
        return None
    clear_scratch(scratch_dir)
    write_text(stamp, text)
    return None


def clear_scratch(scratch_dir: str | Path) -> None:
    """Delete the resume state, once its run has ended; other files of the folder stay."""
    for name in ("last.ckpt", "last.tmp", "last.damaged.ckpt", "identity.json"):
        (Path(scratch_dir) / name).unlink(missing_ok=True)


def _is_whole(checkpoint: Path) -> bool:
    """Tell whether a checkpoint can be read; a damaged one is reported and put aside.

    Raises:
        OSError: it may be whole, but the machine does not give it (permission, disk).
    """
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:  # another process of the training has put it aside
        return False
    except OSError:
        raise
    except Exception as error:  # torch has no one class for damaged files
        aside = checkpoint.with_name("last.damaged.ckpt")
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning(
            "%s: damaged (%s); kept as %s, and started again", checkpoint, reason, aside.name
        )
        checkpoint.replace(aside)
        return False
    return True
