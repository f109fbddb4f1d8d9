"""How the text came out: the text at iteration 0, 10, 20, 30 …, as in the paper's table 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from textleak.report.sparkline import DIVERGED
from textleak.results.history import HistoryRow, RowT

ROWS = 12


def history_table(rows: list[HistoryRow], reference: list[str] | None = None) -> RenderableType:
    """The texts by iteration, at most a dozen rows; the truth last, as in the paper's table 3."""
    table = moments_table(rows, "text", lambda row: "\n".join(row.texts))
    if reference:
        table.add_row("truth", "", Text("\n".join(reference)), style="bold")
    return table


def moments_table(rows: Sequence[RowT], title: str, shown: Callable[[RowT], str]) -> Table:
    """Iteration, objective and what is `shown` of each row, at most a dozen."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("iteration", no_wrap=True)
    table.add_column("objective", justify="right", no_wrap=True)
    table.add_column(title, overflow="fold")
    for row in thinned(rows):
        objective = DIVERGED if row.objective is None else f"{row.objective:.3g}"
        table.add_row(f"{row.stage} {row.iteration}", objective, Text(shown(row)))
    return table


def thinned(rows: Sequence[RowT]) -> Sequence[RowT]:
    """At most a dozen of the rows, evenly chosen, the first and the last among them."""
    if len(rows) <= ROWS:
        return rows
    step = (len(rows) - 1) / (ROWS - 1)
    return [rows[round(i * step)] for i in range(ROWS)]
