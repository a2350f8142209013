"""The losses of a training, looked at without waiting for a GPU at each step."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ggn.engine.curve import Curve
from ggn.engine.processes import mean_over_processes, raise_together

WINDOW = 100
"""Steps whose mean loss is reported at the end."""


class _Step(NamedTuple):
    number: int
    parts: Tensor
    image_ids: Sequence[Any]


class LossWatch:
    """Remembers the losses of the steps since the last look, on their device.

    Only a look waits for the device. All processes look at the same steps.

    Attributes: `recent`, the last losses that were looked at, averaged over the processes, and
    `curve`, all of them, for a training of so many `steps`.
    """

    def __init__(self, steps: int) -> None:
        self.curve = Curve(steps)
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self._steps: list[_Step] = []

    def add(self, step: int, parts: Tensor, image_ids: Sequence[Any]) -> None:
        """Remember the parts of a step's loss, detached (N,), and the images it was computed on."""
        self._steps.append(_Step(step, parts, image_ids))

    def look(self) -> list[float]:
        """Return the parts of the last loss, averaged over the processes; [] without a new one.

        Raises:
            FloatingPointError: a loss was not finite; it names the step and its images.
            ValueError: that happened in another process.
        """
        if not self._steps:
            return []
        own = torch.stack([step.parts for step in self._steps])
        both = torch.stack([own, mean_over_processes(own)]).tolist()  # waits for the device, once
        steps, self._steps = self._steps, []
        error = None
        for step, parts in zip(steps, both[0], strict=True):
            if error is None and not math.isfinite(sum(parts)):
                ids = ", ".join(map(str, step.image_ids))
                error = FloatingPointError(
                    f"loss is {sum(parts)} at step {step.number}, on the images with ids {ids}"
                )
        raise_together(error)
        for parts in both[1]:
            self.recent.append(sum(parts))
            self.curve.add(sum(parts))
        last: list[float] = both[1][-1]
        return last
