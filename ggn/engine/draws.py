"""The order of a training's images, and the random numbers of each draw."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler


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
