"""Finds the rectangles near a place without looking at all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ggn.tiles.plan import Tile


class Near:
    """Rectangles, by the cells of a grid that they touch."""

    def __init__(self, cell: int, boxes: Iterable[Tile] = ()) -> None:
        """Start with some rectangles; `cell` is the side of a cell, in pixels."""
        self._cell = cell
        self._boxes: list[Tile] = []
        self._of_cell: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.add(boxes)

    def add(self, boxes: Iterable[Tile]) -> None:
        """Add rectangles; their indices go on from those before."""
        for box in boxes:
            for cell in self._cells(box):
                self._of_cell[cell].append(len(self._boxes))
            self._boxes.append(box)

    def meeting(self, box: Tile) -> list[int]:
        """Return the indices of the rectangles that share pixels with a box, in order."""
        known = (self._of_cell.get(cell, ()) for cell in self._cells(box))
        indices = {index for cell in known for index in cell}
        return sorted(index for index in indices if not self._boxes[index].shared(box).is_empty)

    def _cells(self, box: Tile) -> Iterator[tuple[int, int]]:
        size = self._cell
        rows = range(box.top // size, (box.bottom - 1) // size + 1)
        columns = range(box.left // size, (box.right - 1) // size + 1)
        return ((row, column) for row in rows for column in columns)
