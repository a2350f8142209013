"""Allocates large arrays in memory or in files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]
"""Makes an array of a shape and dtype, as `np.empty` does."""


def on_disk(folder: Path) -> Allocate:
    """Return a function that makes arrays in files of a folder, whose disk must have enough room.

    The system moves their pages to the disk when memory is short. The files have no names and are
    removed with the last array that uses them, or whenever the process ends. Arrays are filled with
    zeros.

    Raises:
        OSError: (when an array is made) the disk has no room for it.
    """

    def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        with TemporaryFile(dir=folder) as file:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            try:  # otherwise a full disk would cause a bus error on writing
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise OSError(error.errno, f"{error.strerror} for {size:,} bytes", folder) from None
            return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)

    return allocate
