"""What the processes of one training tell each other; alone, each function is the identity."""

from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def _alone() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of a detached tensor that every process has in the same shape."""
    if _alone():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def loss_divisor(count: int, device: torch.device) -> int | Tensor:
    """Return what a sum of losses over `count` terms is divided by, at least one term in all.

    Each process has its share of a batch, and their gradients are averaged. Divided by the mean
    count, their losses and gradients average to those of the whole batch.

    Returns:
        The count itself, or a float32 scalar on `device` where there are several processes.
    """
    if _alone():
        return max(count, 1)
    total = torch.tensor(float(count), device=device)
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


@cache
def _words(_world: Any) -> Any:
    """Return the group that words are exchanged in: on the host, so that no GPU is waited for."""
    return dist.new_group(backend="gloo")


def _group() -> Any:
    return _words(dist.group.WORLD)


def first_decides(value: bool) -> bool:
    """Return what the first process says; all call this at the same place."""
    if _alone():
        return value
    flag = torch.tensor([value], dtype=torch.uint8)
    dist.broadcast(flag, src=0, group=_group())
    return bool(flag)


def raise_together(error: Exception | None) -> None:
    """Raise the error of any process in all of them; all call this at the same place.

    Left to itself, a process that fails would let the others wait for it.

    Raises:
        ValueError: with the messages of the others' errors; a process with one raises its own.
    """
    if not _alone():
        failures = torch.tensor([error is not None], dtype=torch.int32)
        dist.all_reduce(failures, group=_group())
        if bool(failures):
            messages: list[str | None] = [None] * dist.get_world_size()
            said = None if error is None else str(error)
            dist.all_gather_object(messages, said, group=_group())
            failed = [f"process {rank}: {text}" for rank, text in enumerate(messages) if text]
            if error is None:
                raise ValueError("; ".join(failed))
    if error is not None:
        raise error


def require_same(value: int, what: str) -> None:
    """Raise ValueError in all processes if `value` differs between them; `what` names it."""
    if _alone():
        return
    values: list[int | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_group())
    if len(set(values)) > 1:
        raise ValueError(f"the processes differ in {what}: {values}")
