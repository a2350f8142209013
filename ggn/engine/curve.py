"""The curves of a training: loss and learning rate, in as many points as a picture shows."""

import math
from collections.abc import Callable
from typing import Any

POINTS = 200
"""At most so many points per training."""


class Curve:
    """Mean losses of successive stretches of equally many steps; the last may be shorter.

    The stretches follow from the number of steps alone, so a training that was killed and resumed
    draws the same curve as one that was not.
    """

    def __init__(self, steps: int) -> None:
        self._each = math.ceil(steps / POINTS)
        self._means: list[float] = []
        self._open: list[float] = []

    def add(self, loss: float) -> None:
        """Add the loss of the next step."""
        self._open.append(loss)
        if len(self._open) == self._each:
            self._means.append(sum(self._open) / self._each)
            self._open = []

    def points(self, lr: Callable[[int], float]) -> list[dict[str, float]]:
        """Return the points so far, the first step first.

        Args:
            lr: the learning rate of step 0, 1, …

        Returns:
            `step` (how many were done at the end of the stretch), `loss` (mean of its steps) and
            `lr` (of its last step), both to six digits.
        """
        last = [sum(self._open) / len(self._open)] if self._open else []
        done = len(self._means) * self._each + len(self._open)
        ends = [min((place + 1) * self._each, done) for place in range(len(self._means + last))]
        return [
            {"step": end, "loss": _six_digits(loss), "lr": _six_digits(lr(end - 1))}
            for end, loss in zip(ends, self._means + last, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"means": list(self._means), "open": list(self._open)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._means, self._open = list(state["means"]), list(state["open"])


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
