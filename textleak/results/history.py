"""How the text came out: what is kept of an attack's iterations, in its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.events import Event, ImageIteration, Iteration, Step


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


class ImageHistoryRow(Moment):
    """The pictures as they stood at one iteration.

    Attributes:
        psnr: of each image, in decibels, in the truth's order; null where equal, empty without truth.
        labels: the class of each image.
    """

    psnr: list[float | None] = Field(default_factory=list)
    labels: list[int] = Field(default_factory=list)


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


class ImageHistory(Kept[ImageHistoryRow]):
    """How the pictures came out."""

    def event(self, event: Event, psnr: Sequence[float], labels: Sequence[int]) -> None:
        """Take in what the attack says, with how near its images are and their classes."""
        if isinstance(event, ImageIteration):
            near = [value if math.isfinite(value) else None for value in psnr]
            self.take(ImageHistoryRow(**moment(event), psnr=near, labels=list(labels)))


def moment(event: Step) -> dict[str, Any]:
    """What a row has of an iteration, whatever is recovered."""
    return dict(
        stage=event.stage,
        iteration=event.iteration,
        evaluations=event.evaluations,
        seconds=event.seconds,
        objective=event.objective if math.isfinite(event.objective) else None,
    )
