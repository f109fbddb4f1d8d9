"""How the text came out: what is kept of an attack's iterations, in its record."""

from __future__ import annotations

import math
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from textleak.core.events import Event, Iteration


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
