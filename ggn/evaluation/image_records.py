"""What the evaluation knows of images: ids, sizes, and what a federated dataset says of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PureWindowsPath

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Images:
    """Ids of all images, and heights and widths where stated; only masks need them."""

    ids: frozenset[int]
    sizes_hw: Mapping[int, tuple[int, int]]
    federation: Mapping[int, "Federation"]
    """By image id; empty unless the dataset is federated, as LVIS is."""
    file_names: Mapping[int, str] = field(default_factory=dict)
    """By image id, where stated."""

    def named(self, name: str) -> int | None:
        """Return the id of the one image with this file name, with or without folder or suffix."""
        return next(
            (found for key in _names(name) if (found := self._ids_by_name.get(key)) is not None),
            None,
        )

    @cached_property
    def _ids_by_name(self) -> dict[str, int | None]:
        """None for names that several images have."""
        ids: dict[str, int | None] = {}
        for id_, file_name in self.file_names.items():
            for name in dict.fromkeys(_names(file_name)):
                ids[name] = None if name in ids else id_
        return ids

    def sizes_of(self, image_ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return (N, 2) height and width, -1 if not stated; None if an image is unknown."""
        known, sizes_hw = self._table
        places = np.searchsorted(known, image_ids)
        if not len(known):
            return sizes_hw if not len(image_ids) else None
        are_known = known[np.minimum(places, len(known) - 1)] == image_ids
        return sizes_hw[places] if are_known.all() else None

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids, ascending, and sizes."""
        ids = sorted(self.ids)
        sizes_hw = [self.sizes_hw.get(id_, (-1, -1)) for id_ in ids]
        return np.array(ids, np.int64), np.array(sizes_hw, np.int64).reshape(-1, 2)


def _names(file_name: str) -> tuple[str, str, str]:
    path = PureWindowsPath(file_name)  # / and \\ separate
    return path.as_posix(), path.name, path.stem


@dataclass(frozen=True)
class Federation:
    """What else a federated dataset says of an image, as category ids.

    A category that has no object here and is not in `absent` was not looked for.
    """

    absent: frozenset[int]
    """`neg_category_ids`: looked for, and not there."""
    not_exhaustive: frozenset[int]
    """`not_exhaustive_category_ids`: some objects may lack an annotation."""
