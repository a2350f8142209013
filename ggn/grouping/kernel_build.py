"""Checks on import that the compiled kernel was built from the sources beside it."""

from pathlib import Path

from ggn.core.checkout import require_fresh_build
from ggn.grouping import _kernels

SOURCES = ("_kernels.hpp", "_trees.hpp", "_kernels.pyx")

require_fresh_build(Path(__file__).parent, SOURCES, _kernels.SOURCE_HASH, _kernels.__file__)
