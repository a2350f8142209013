"""Where large arrays lie: in memory, or in files."""

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
"""Makes an array of some shape and dtype, as `np.empty` does."""


def on_disk(folder: Path) -> Allocate:
    """Return what makes arrays of files in a folder, which must be on a disk with enough room.

    The system moves their pages to the disk when memory is short. A file has no name: it goes with
    the last array that uses it, or with the process, however that ends. What such an array holds at
    first is 0.

    Raises:
        OSError: (when an array is made) the disk has no room for it.
    """

    def allocate(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        with TemporaryFile(dir=folder) as file:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            try:  # a disk that is full must not be met on writing, which would be a bus error
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise OSError(error.errno, f"{error.strerror} for {size:,} bytes", folder) from None
            return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)

    return allocate
