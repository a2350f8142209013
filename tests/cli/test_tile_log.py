"""A command that is killed in the middle of an image goes on at the tile where it stopped."""

from __future__ import annotations

import contextlib
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ggn.cli.tile_log import KeptMap, tile_log
from ggn.core.instances import Instances
from ggn.tiles import affinity_in_tiles

TILES = [np.full((4, 5), value) for value in range(1, 8)]


class Eye:
    """Finds a tile as a whole, with its value as the score; is killed at a value."""

    def __init__(self, killed_at: int = 0) -> None:
        self.seen: list[int] = []
        self._killed_at = killed_at

    def __call__(self, tiles: Sequence[NDArray[np.int64]]) -> list[Instances]:
        values = [int(tile[0, 0]) for tile in tiles]
        if self._killed_at in values:
            raise KeyboardInterrupt
        self.seen += values
        return [Instances.from_bitmaps(tile[None] > 0, [tile[0, 0] / 10]) for tile in tiles]


def scores(folder: Path, eye: Eye, together: int) -> list[float]:
    """What is found in the tiles, which come in two groups."""
    with tile_log(folder, len(TILES)) as log:
        found = [*log.find(eye, TILES[:4], together), *log.find(eye, TILES[4:], together)]
    assert all(it.masks == eye(TILES[:1])[0].masks for it in found)
    return [round(float(it.scores[0]) * 10) for it in found]


@pytest.mark.parametrize(("together", "again"), [(1, [6, 7]), (2, [5, 6, 7]), (3, [5, 6, 7])])
def test_only_tiles_that_are_not_known_are_looked_at(
    tmp_path: Path, together: int, again: list[int]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        scores(tmp_path, Eye(killed_at=6), together)
    eye = Eye()
    assert scores(tmp_path, eye, together) == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(set(eye.seen)) == sorted({1, *again})  # 1 is the comparison's
    known = Eye()
    assert scores(tmp_path, known, together) == [1, 2, 3, 4, 5, 6, 7]
    assert set(known.seen) == {1}


def test_a_map_is_filled_up(tmp_path: Path) -> None:
    """Killed while it writes the third of six tiles."""
    image = np.random.default_rng(0).integers(0, 256, (70, 130, 3), np.uint8)
    seen, told = list[tuple[int, ...]](), list[int]()

    def predict(pixels: NDArray[np.uint8], limit: int) -> NDArray[np.float32]:
        if len(seen) == limit:
            raise KeyboardInterrupt
        seen.append(pixels.shape)
        return pixels[..., 0].astype(np.float32)

    def filled(limit: int) -> NDArray[np.float32]:
        kept = KeptMap(tmp_path / "map", (70, 130), told.append)
        return kept.filled(partial(affinity_in_tiles, image, partial(predict, limit=limit), 64, 0))

    with pytest.raises(KeyboardInterrupt):
        filled(2)
    assert (filled(6) == image[..., 0]).all()
    assert len(seen) == 6
    assert told == [0, 1, 1, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("command", "network"),
    [("predict", "ggn.detector.Detector.predict_batch"), ("group", "ggn.grouping.candidates")],
)
def test_a_command_reads_what_it_knows(
    tmp_path: Path,
    weights: Path,
    ggn: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    network: str,
) -> None:
    words = call(tmp_path, weights, command)
    seen, limit = list[int](), [5]
    module, _, name = network.rpartition(".")
    owner = pkgutil.resolve_name(module)
    find = getattr(owner, name)

    def counted(*arguments: Any) -> Any:
        if len(seen) == limit[0]:
            raise KeyboardInterrupt
        seen.append(1)
        return find(*arguments)

    monkeypatch.setattr(owner, name, counted)
    with contextlib.suppress(KeyboardInterrupt):
        ggn(*words, tmp_path / "out")
    assert len(seen) == 5
    limit[0] = 1000
    assert ggn(*words, tmp_path / "out") == 0
    both = len(seen)
    assert ggn(*words, tmp_path / "whole") == 0
    assert both <= len(seen) - both + 2  # tiles under way on other cores are looked at again


def call(folder: Path, weights: Path, command: str) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8)
    photo = folder / "photo.png"
    Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC).save(photo)
    option, kind = {
        "predict": ("--weights", "detector"),
        "group": ("--affinity-weights", "affinity"),
    }[command]
    words = [command, str(photo), option, str(weights / kind), "--tile", "64"]
    return [*words, "--no-pictures", "--out"]


def kill(command: list[str], folder: Path, name: str) -> None:
    """Kill a command as soon as one of the files that it keeps of the image has something."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if any(file.stat().st_size for file in folder.glob(f".*/image-1-*/{name}")):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.005)
    raise AssertionError(f"the command ended with {process.returncode} before it could be killed")


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kept"), [("predict", "log"), ("group", "affinity-0.done")])
def test_a_killed_command_writes_the_same_results(
    tmp_path: Path, weights: Path, command: str, kept: str
) -> None:
    words = [sys.executable, "-m", "ggn", *call(tmp_path, weights, command)]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    subprocess.run([*words, str(whole)], check=True, capture_output=True)
    kill([*words, str(resumed)], resumed, kept)
    subprocess.run([*words, str(resumed)], check=True, capture_output=True)
    assert (resumed / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert sorted(it.name for it in resumed.iterdir()) == ["images.json", "results.json"]
