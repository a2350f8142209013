"""Outlines of the shape families of the embedded dataset, seen and unseen.

An outline is a list of closed loops of (x, y) points within the unit circle: the first loop is
filled, the others are cut out of it. Proportions vary with the generator.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Loops = list[NDArray[np.float64]]
DrawOutline = Callable[[np.random.Generator], Loops]


def _arc(points: int, start: float = 0.0, stop: float = 2 * np.pi) -> NDArray[np.float64]:
    """`points` points on the unit circle from angle `start` up to, without, `stop`."""
    angles = np.linspace(start, stop, points, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _disc(rng: np.random.Generator) -> Loops:
    return [_arc(48) * (1.0, rng.uniform(0.65, 1.0))]


def _rectangle(rng: np.random.Generator) -> Loops:
    angle = rng.uniform(0.45, np.pi / 4)
    return [np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (np.cos(angle), np.sin(angle))]


def _triangle(rng: np.random.Generator) -> Loops:
    return [_arc(3) * (1.0, rng.uniform(0.75, 1.0))]


def _hexagon(rng: np.random.Generator) -> Loops:
    return [_arc(6) * (1.0, rng.uniform(0.8, 1.0))]


def _capsule(rng: np.random.Generator) -> Loops:
    half_width = rng.uniform(0.3, 0.45)
    right = half_width * _arc(17, -np.pi / 2, np.pi / 2) + (1 - half_width, 0)
    return [np.concatenate([right, -right])]


def _cross(rng: np.random.Generator) -> Loops:
    width = rng.uniform(0.25, 0.38)
    corner = np.array([(1, -width), (1, width), (width, width)])
    turns = [np.array([(0, 1), (-1, 0)]), -np.eye(2), np.array([(0, -1), (1, 0)])]
    return [np.concatenate([corner, *(corner @ turn for turn in turns)]) / np.hypot(1, width)]


def _star(rng: np.random.Generator) -> Loops:
    points = int(rng.integers(5, 8))
    return [_arc(2 * points) * np.tile([1.0, rng.uniform(0.5, 0.62)], points)[:, None]]


def _crescent(rng: np.random.Generator) -> Loops:
    horn = rng.uniform(0.6, 0.8)
    bite = rng.uniform(0.5, 0.65)
    tip = np.array([np.cos(horn) - bite, np.sin(horn)])
    opening = np.arctan2(tip[1], tip[0])
    inner = np.hypot(*tip) * _arc(25, 2 * np.pi - opening, opening) + (bite, 0)
    return [np.concatenate([_arc(33, horn, 2 * np.pi - horn), inner])]


def _heart(rng: np.random.Generator) -> Loops:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([16 * np.sin(t) ** 3, rng.uniform(0.85, 1.0) * y], axis=1) / 17]


def _gear(rng: np.random.Generator) -> Loops:
    teeth = int(rng.integers(6, 10))
    notch = rng.uniform(0.68, 0.78)
    return [_arc(4 * teeth) * np.tile([1.0, 1.0, notch, notch], teeth)[:, None]]


def _ring(rng: np.random.Generator) -> Loops:
    return [_arc(48), _arc(48) * rng.uniform(0.3, 0.45)]


def _blob(rng: np.random.Generator) -> Loops:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waves = sum(
        rng.uniform(0.3, 0.6) / k * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
        for k in (2, 3, 5)
    )
    radius = 1 + 0.8 * np.asarray(waves)
    return [_arc(48) * (radius / radius.max())[:, None]]


def _arrow(rng: np.random.Generator) -> Loops:
    shaft, neck, head = rng.uniform(0.3, 0.42), rng.uniform(0.0, 0.3), rng.uniform(0.65, 0.8)
    upper = [(1, 0), (neck, head), (neck, shaft), (-0.95, shaft)]
    return [np.array(upper + [(x, -y) for x, y in upper[:0:-1]])]


SEEN_OUTLINES: Mapping[str, DrawOutline] = MappingProxyType(
    {
        "disc": _disc,
        "rectangle": _rectangle,
        "triangle": _triangle,
        "hexagon": _hexagon,
        "capsule": _capsule,
        "cross": _cross,
    }
)
UNSEEN_OUTLINES: Mapping[str, DrawOutline] = MappingProxyType(
    {
        "star": _star,
        "crescent": _crescent,
        "heart": _heart,
        "gear": _gear,
        "ring": _ring,
        "blob": _blob,
        "arrow": _arrow,
    }
)
