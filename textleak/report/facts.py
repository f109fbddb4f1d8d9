"""Names beside values, in two columns."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from textleak.report.terminal import escaped


class Facts:
    """A grid of named values; a string is shown as it is, never read as markup."""

    def __init__(self) -> None:
        self.grid = Table.grid(padding=(0, 2))
        self.grid.add_column(style="dim", no_wrap=True, min_width=11)
        self.grid.add_column(overflow="fold")

    def add(self, name: str, value: RenderableType, style: str = "") -> None:
        """Append one row."""
        self.grid.add_row(name, Text(escaped(value), style) if isinstance(value, str) else value)
