"""Where a run stands: events folded into what the views show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from textleak.core.events import End, Event, Iteration, Started, Step
from textleak.metrics.assignment import best_pairing
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces

StepT = TypeVar("StepT", bound=Step)


class BaseProgress(Generic[StepT]):
    """The state of a run as the views need it, whatever it recovers.

    Args:
        header: what the run assumed.
        clock: seconds; lets the elapsed time move on between two events.

    Attributes:
        index: which update is attacked, from 0.
        count: how many there are.
        latest: the last iteration of the update under attack.
        objectives: the objective of every iteration of this stage.
    """

    def __init__(self, header: RunHeader, clock: Callable[[], float] = time.monotonic) -> None:
        self.header, self.clock = header, clock
        self.index, self.count = 0, 1
        self.latest: StepT | None = None
        self.objectives: list[float] = []
        self._heard: float | None = None
        self._stage_began = 0.0

    def begin(self, index: int, count: int, truth: Any) -> None:
        """Another update is about to be attacked."""
        self.index, self.count = index, count
        self.latest, self.objectives = None, []
        self._heard, self._stage_began = None, 0.0

    def event(self, event: Event) -> None:
        """Take in what the attack says."""
        if isinstance(event, Started):
            self._heard = self.clock()
        elif isinstance(event, Step):
            if self.latest is not None and self.latest.stage != event.stage:
                self.objectives, self._stage_began = [], self.latest.seconds
            self.latest = cast(StepT, event)
            self.objectives.append(event.objective)
            self._heard = self.clock()
        elif isinstance(event, End):
            self._heard = None

    @property
    def seconds(self) -> float:
        """Seconds since the attack on this update began."""
        told = self.latest.seconds if self.latest else 0.0
        return told if self._heard is None else told + self.clock() - self._heard

    @property
    def rate(self) -> float | None:
        """Evaluations a second so far."""
        if self.latest is None or self.latest.seconds <= 0:
            return None
        return self.latest.evaluations / self.latest.seconds

    @property
    def left(self) -> float | None:
        """Seconds that this stage takes at most from here on, if it goes on as fast as so far."""
        now = self.latest
        if now is None or not now.total or not now.iteration:
            return None
        left = (now.seconds - self._stage_began) / now.iteration * (now.total - now.iteration)
        return max(0.0, left - (self.seconds - now.seconds))


class Progress(BaseProgress[Iteration]):
    """The state of a run on text.

    Args:
        header: what the run assumed.
        pieces: names of token ids.
        clock: seconds.

    Attributes:
        references: the true sentences' ids without special tokens, where the truth is known.
    """

    def __init__(
        self, header: RunHeader, pieces: Pieces, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(header, clock)
        self.pieces = pieces
        self.references: list[list[int]] | None = None

    def begin(self, index: int, count: int, truth: Sequence[Sequence[int]] | None) -> None:
        """Another update is about to be attacked; `truth` is without special tokens."""
        super().begin(index, count, truth)
        self.references = None if truth is None else [list(ids) for ids in truth]

    def sentences(self) -> list[tuple[list[str] | None, list[str]]]:
        """Pieces of each reference (where known) with its best matching recovery at this moment."""
        if self.latest is None:
            return []
        found = [self.pieces.frame.inner(ids) for ids in self.latest.token_ids]
        if self.references is None:
            texts = self.latest.texts
            return [
                (None, self.pieces(ids) if self.pieces.known(ids) else text.split())
                for ids, text in zip(found, texts, strict=True)
            ]
        pairs = best_pairing(self.references, found)
        return [
            (self.pieces(ids), [] if at is None else self.pieces(found[at]))
            for ids, at in zip(self.references, pairs, strict=True)
        ]

    def token_match(self) -> float | None:
        """Mean token match at this moment; None where the truth is not known."""
        if self.references is None or self.latest is None:
            return None
        return mean_token_match(self.references, self.latest.token_ids, self.pieces)


def mean_token_match(
    references: list[list[int]], token_ids: Sequence[Sequence[int]], pieces: Pieces
) -> float:
    """Mean token match of full recovered ids against sentences' ids, best pairs together."""
    from textleak.metrics.tokens import token_match

    found = [pieces.frame.inner(ids) for ids in token_ids]
    pairs = best_pairing(references, found)
    rates = [
        0.0 if at is None else token_match(ids, found[at])
        for ids, at in zip(references, pairs, strict=True)
    ]
    return sum(rates) / len(rates)
