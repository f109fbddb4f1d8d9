"""How the text came out: the text at iteration 0, 10, 20, 30 …, as in the paper's table 3."""

from __future__ import annotations

import math
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from textleak.core.events import Event, Iteration
from textleak.report.sparkline import DIVERGED

ROWS = 12


class AnyIteration(Protocol):
    """What the iterations of every attack say."""

    @property
    def stage(self) -> str:
        """What the attack is doing."""

    @property
    def iteration(self) -> int:
        """Iterations so far."""

    @property
    def evaluations(self) -> int:
        """Candidate gradients so far."""

    @property
    def seconds(self) -> float:
        """Since the start."""

    @property
    def objective(self) -> float:
        """The best candidate's."""


class Moment(BaseModel):
    """Where an attack stood at one iteration, whatever it recovers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    iteration: int
    evaluations: int
    seconds: float
    objective: float | None


class HistoryRow(Moment):
    """The batch as it stood at one iteration."""

    token_match: float | None = None
    texts: list[str]


RowT = TypeVar("RowT", bound=Moment)


class Kept(Generic[RowT]):
    """Keeps every `every`-th iteration of each stage, and the last.

    Args:
        every: iterations between two rows.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._rows: list[RowT] = []
        self._last: RowT | None = None

    def take(self, row: RowT) -> None:
        """Take in the next iteration."""
        if self._last is not None and self._last.stage != row.stage:
            self._keep(self._last)
        self._last = row
        if row.iteration % self.every == 0:
            self._keep(row)

    def _keep(self, row: RowT) -> None:
        if not self._rows or self._rows[-1] is not row:
            self._rows.append(row)

    @property
    def rows(self) -> list[RowT]:
        """The kept rows, the last iteration always among them."""
        ends = [] if self._last is None or self._last in self._rows[-1:] else [self._last]
        return self._rows + ends


class History(Kept[HistoryRow]):
    """How the text came out."""

    def event(self, event: Event, match: float | None = None) -> None:
        """Take in what the attack says; `match` is the mean token match, where known."""
        if isinstance(event, Iteration):
            row = HistoryRow(**moment(event), token_match=match, texts=event.texts)
            self.take(row)


def moment(event: AnyIteration) -> dict[str, Any]:
    """What a row has of an iteration, whatever is recovered."""
    return dict(
        stage=event.stage,
        iteration=event.iteration,
        evaluations=event.evaluations,
        seconds=event.seconds,
        objective=event.objective if math.isfinite(event.objective) else None,
    )


def history_table(rows: list[HistoryRow], reference: list[str] | None = None) -> RenderableType:
    """The texts by iteration, at most a dozen rows; the truth last, as in the paper's table 3."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("iteration", no_wrap=True)
    table.add_column("objective", justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    for row in thinned(rows):
        objective = DIVERGED if row.objective is None else f"{row.objective:.3g}"
        table.add_row(f"{row.stage} {row.iteration}", objective, Text("\n".join(row.texts)))
    if reference:
        table.add_row("truth", "", Text("\n".join(reference)), style="bold")
    return table


def thinned(rows: list[HistoryRow]) -> list[HistoryRow]:
    """At most a dozen of the rows, evenly chosen, the first and the last among them."""
    if len(rows) <= ROWS:
        return rows
    step = (len(rows) - 1) / (ROWS - 1)
    return [rows[round(i * step)] for i in range(ROWS)]
