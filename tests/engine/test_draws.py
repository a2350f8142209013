"""The order in which a training draws its images follows from the seed and the step alone."""

from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ggn.engine.draws import DrawOrder, sample_generator


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
