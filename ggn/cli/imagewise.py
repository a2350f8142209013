"""Work on the images of a call: on all cores, resumed after a kill, with errors at the end."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ggn.cli.app import err
from ggn.cli.sources import Photograph, Source
from ggn.core.allocation import Allocate, on_disk
from ggn.core.coco import read_json, write_json
from ggn.core.instances import Instances
from ggn.data.images import image_size_hw, read_image, read_photograph
from ggn.evaluation.order import in_order
from ggn.store.parquet import ImageInstances
from ggn.store.read import Store
from ggn.store.shards import ShardWriter, shard_path

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Desk:
    """What `Find` works with besides the images."""

    bar: Progress
    """It may show the progress of a large image there."""
    state: Path
    """The folder with the state of the call."""

    def of(self, photo: Photograph) -> Path:
        """Return the folder for what is known of an image before it is done.

        It has another name when the file has changed. It is deleted when the image is done.
        """
        stamp = "-".join(map(str, _stamp(photo.path) or ()))
        return self.state / f"image-{photo.image_id}-{stamp}"

    def clear(self, photo: Photograph) -> None:
        """Delete what is kept of an image."""
        for folder in self.state.glob(f"image-{photo.image_id}-*"):
            shutil.rmtree(folder)


Find = Callable[[Sequence[tuple[Photograph, Picture]], Desk], Sequence[Instances]]
"""Finds the instances of some images and writes their pictures; called on several threads."""

LARGE: Final = 50_000_000
"""An image with more pixels is processed while no other large one is; `ggn predict` tiles it."""
_one_large = Lock()


@dataclass(frozen=True)
class Failure:
    """An image that could not be read, and why."""

    photograph: Photograph
    reason: str


@dataclass(frozen=True)
class Call:
    """Everything that the results of a call depend on, and where they go."""

    command: str
    source: Source
    out: Path
    settings: Mapping[str, Any]
    """Weights and options, as JSON data; they tell this call from others into the same folder."""
    together: int
    """Number of images that `find` gets at a time."""
    bits: int = 16
    """How many bits of 16-bit images are in use."""


@contextmanager
def finished_images(call: Call, find: Find) -> Iterator[tuple[Store | None, list[Failure]]]:
    """Do the work of a call, or what an interrupted one left; yield the results and the failures.

    Every image is logged when it is done, in a hidden folder beside the results; `find` may keep
    there what it knows of an image that is not done. The folder is deleted when the body ends
    without an error and every image could be read. The store has the images that could be read,
    and exists during the body only; it is None if there are none.

    Raises:
        ValueError: another process is working on the same call.
    """
    state = call.out / f".{call.command}-{_digest(call)}"
    existed = call.out.exists()
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{call.out}: another process is working on the same call") from None
        _forget_if_files_changed(call, state)
        done, failures = _do_all(call, find, state)
        store = _store(state, sorted(done)) if done else None
        yield store, failures
        shutil.rmtree(state / "store", ignore_errors=True)
        if not failures or store is None:
            shutil.rmtree(state)
        if store is None and not existed:
            call.out.rmdir()


def _digest(call: Call) -> str:
    names = [[photo.image_id, str(photo.path)] for photo in call.source.photographs]
    text = json.dumps([dict(call.settings), names], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _forget_if_files_changed(call: Call, state: Path) -> None:
    """Start again if the file of a finished image has changed."""
    stamps = {str(photo.image_id): _stamp(photo.path) for photo in call.source.photographs}
    seen, log = state / "files.json", state / "log"
    if seen.exists() and log.exists():
        before, writer = read_json(seen), _writer(state, call)
        writer.close()
        if any(before.get(str(key)) != stamps[str(key)] for key in writer.finished):
            log.unlink()
    write_json(seen, stamps)


def _stamp(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _writer(state: Path, call: Call) -> ShardWriter:
    ids = [photo.image_id for photo in call.source.photographs]
    return ShardWriter(state / "log", shard_path(state / "store", 0, 1), ids, ())


def _store(state: Path, ids: list[int]) -> Store:
    writer = ShardWriter(state / "log", shard_path(state / "store", 0, 1), ids, ())
    writer.finish()
    return Store(state / "store")


def _do_all(call: Call, find: Find, state: Path) -> tuple[set[int], list[Failure]]:
    """Return the ids of the images that are done, and those that could not be read."""
    writer, failures = _writer(state, call), list[Failure]()
    try:
        todo = [p for p in call.source.photographs if p.image_id not in writer.finished]
        if writer.finished:
            err.print(f"{len(writer.finished)} images are already done", highlight=False)
        parts = [todo[i : i + call.together] for i in range(0, len(todo), call.together)]
        with _progress() as bar:
            desk = Desk(bar, state)
            tasks = (partial(_do_some, part, find, desk, call) for part in parts)
            task = bar.add_task(call.command, total=len(todo))
            for found, unread in in_order(tasks):
                for photo, instances in found:
                    writer.append(ImageInstances.without_features(photo.image_id, instances))
                    desk.clear(photo)
                failures += unread
                bar.advance(task, len(found) + len(unread))
        return set(writer.finished), failures
    finally:
        writer.close()


def _do_some(
    photographs: Sequence[Photograph], find: Find, desk: Desk, call: Call
) -> tuple[list[tuple[Photograph, Instances]], list[Failure]]:
    images, failures = list[tuple[Photograph, Picture]](), list[Failure]()
    with _one_large if any(map(_is_large, photographs)) else nullcontext():
        for photo in photographs:
            try:
                allocate = on_disk(call.out) if _is_large(photo) else np.empty
                images.append((photo, _read(photo, allocate, call.bits)))
            except (OSError, ValueError) as error:
                failures.append(Failure(photo, str(error)))
        try:
            found = find(images, desk) if images else []
        except Exception as error:
            names = ", ".join(str(photo.path) for photo, _ in images)
            raise RuntimeError(f"{names}: {error}") from error
    return [(photo, it) for (photo, _), it in zip(images, found, strict=True)], failures


def _is_large(photo: Photograph) -> bool:
    try:
        height, width = image_size_hw(photo.path)
    except (OSError, ValueError):
        return False  # reading it will raise the error
    return height * width > LARGE


def _read(photo: Photograph, allocate: Allocate, bits: int) -> Picture:
    if photo.size_hw is None:  # no stored masks refer to it
        return read_photograph(photo.path, bits=bits, allocate=allocate)
    image = read_image(photo.path, bits=bits, allocate=allocate)
    if image.shape[:2] != photo.size_hw:
        (height, width), (stated_height, stated_width) = image.shape[:2], photo.size_hw
        raise ValueError(
            f"{photo.path}: image {photo.image_id} is {width} wide and {height} high, "
            f"but its record says {stated_width} wide and {stated_height} high"
        )
    return image


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=err,
    )


class Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last half minute, or of the whole call when it has ended."""
        rate = task.completed / task.finished_time if task.finished_time else task.speed
        return Text(
            "" if rate is None else f"{rate:.2g} images/s" if rate < 10 else f"{rate:.0f} images/s"
        )
