"""The curves of a training: few points of many steps, the same after a kill."""

import json

import pytest

from ggn.engine.curve import POINTS, Curve


def drawn(steps: int, done: int | None = None) -> Curve:
    curve = Curve(steps)
    for step in range(steps if done is None else done):
        curve.add(float(step))
    return curve


def test_a_short_training_has_a_point_for_each_step() -> None:
    assert drawn(3).points(lambda step: 0.1 * step) == [
        {"step": 1, "loss": 0.0, "lr": 0.0},
        {"step": 2, "loss": 1.0, "lr": 0.1},
        {"step": 3, "loss": 2.0, "lr": 0.2},
    ]


def test_a_long_one_has_the_mean_loss_and_the_last_rate_of_each_stretch() -> None:
    points = drawn(2 * POINTS + 5).points(lambda step: step / 1000)  # three steps each
    assert points[0] == {"step": 3, "loss": 1.0, "lr": 0.002}
    assert points[1] == {"step": 6, "loss": 4.0, "lr": 0.005}
    assert points[-1] == {"step": 405, "loss": 403.0, "lr": 0.404}
    assert len(points) == 135


def test_the_last_stretch_may_be_shorter() -> None:
    *_, before, last = drawn(2 * POINTS - 1).points(lambda step: 1.0)
    assert before == {"step": 398, "loss": 396.5, "lr": 1.0}
    assert last == {"step": 399, "loss": 398.0, "lr": 1.0}


@pytest.mark.parametrize("steps", [1, 7, POINTS - 1, POINTS, POINTS + 1, 1234])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_wherever_a_training_stops_it_goes_on_to_the_same_curve(steps: int, share: float) -> None:
    stopped = int(share * steps)
    kept = json.loads(json.dumps(drawn(steps, stopped).state()))
    curve = Curve(steps)
    curve.restore(kept)
    for step in range(stopped, steps):
        curve.add(float(step))
    points = curve.points(float)
    assert points == drawn(steps).points(float)
    assert len(points) <= POINTS
    assert points[-1]["step"] == steps
    assert not Curve(steps).points(float)
