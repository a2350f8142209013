"""Losses are looked at now and then, and none that is not finite gets past a look."""

import pytest
import torch

from ggn.engine.losses import WINDOW, LossWatch


def test_a_look_returns_the_parts_of_the_last_loss() -> None:
    watch = LossWatch(steps=WINDOW + 5)
    assert watch.look() == []
    watch.add(0, torch.tensor([1.0, 2.0]), [7])
    watch.add(1, torch.tensor([0.5, 0.25]), [8])
    assert watch.look() == [0.5, 0.25]
    assert list(watch.recent) == [3.0, 0.75]
    assert watch.look() == []  # nothing new


def test_only_the_last_losses_are_reported() -> None:
    watch = LossWatch(steps=WINDOW + 5)
    for step in range(WINDOW + 5):
        watch.add(step, torch.tensor([float(step)]), [])
    watch.look()
    assert list(watch.recent) == [float(step) for step in range(5, WINDOW + 5)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_by_its_own_step_and_images(bad: float) -> None:
    """On a GPU the look comes steps later; the first bad step is the one to look into."""
    watch = LossWatch(steps=WINDOW + 5)
    watch.add(3, torch.tensor([1.0, 1.0]), [1, 2])
    watch.add(4, torch.tensor([1.0, bad]), [30, 31])
    watch.add(5, torch.tensor([bad, bad]), [5, 6])
    message = rf"loss is {bad} at step 4, on the images with ids 30, 31"
    with pytest.raises(FloatingPointError, match=message):
        watch.look()
