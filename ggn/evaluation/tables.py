"""Tables for the terminal, whatever its width."""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table


class WholeTable(Table):
    """A table that folds its cells where the terminal is narrower than its words, and cuts none."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        unlimited = options.update(max_width=10_000)
        if Measurement.get(console, unlimited, self).minimum > options.max_width:
            for column in self.columns:
                column.no_wrap, column.overflow = False, "fold"
            self.padding, self.show_lines = 0, True
        yield from super().__rich_console__(console, options)
