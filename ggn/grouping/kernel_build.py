"""Whether the compiled kernel is that of the sources beside it."""

import hashlib
from pathlib import Path

from ggn.grouping import _kernels

SOURCES = ("_kernels.hpp", "_trees.hpp", "_kernels.pyx")


def stale_kernel() -> str | None:
    """Return why results of the compiled kernel can't be trusted, or None if they can.

    Editing a source without building again would let DVC lock new source to old results.
    CMakeLists.txt computes the same hash and compiles it in.
    """
    folder = Path(__file__).parent
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SOURCES]
    if hashlib.sha256("".join(hashes).encode()).hexdigest() == _kernels.SOURCE_HASH:
        return None
    return f"one of {', '.join(SOURCES)} in {folder} changed after it was built"
