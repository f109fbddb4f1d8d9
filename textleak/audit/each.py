"""Share, attack, score: one update after the other, whatever it is of."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from textleak.core.budget import Budget
from textleak.core.events import Event, OnEvent
from textleak.core.modality import ReconstructionT
from textleak.core.reconstruction import Reconstruction
from textleak.core.update import SharedUpdate


class Result(Protocol):
    """One attacked update, scored."""

    @property
    def reconstruction(self) -> Reconstruction[Any]:
        """What the attack returned."""

    @property
    def failure(self) -> str | None:
        """Why the attack came to nothing, where it did."""


PrivateT = TypeVar("PrivateT")
ResultT = TypeVar("ResultT", bound=Result)


class AttackCall(Protocol):
    """An attack with its options, ready to be called."""

    def __call__(
        self,
        model: Any,
        update: SharedUpdate,
        *,
        seed: int,
        budget: Budget | None,
        on_event: OnEvent | None,
    ) -> Any:
        """Recover the batch behind `update`."""


class Watcher:
    """Told of every step of an audit; screens and recorders override what they need."""

    def begin(self, index: int, count: int, update: SharedUpdate | None, truth: Any) -> None:
        """Update `index` of `count` is about to be attacked.

        Args:
            index: from 0.
            count: how many there are.
            update: what was shared; None where the client could share nothing.
            truth: full token ids of text, brightness of images (B, C, H, W); None where not known.
        """

    def event(self, event: Event) -> None:
        """The attack said something."""

    def scored(self, result: Any) -> None:
        """The update has been attacked and scored."""


NO_WATCHER = Watcher()


class Scoring(ABC, Generic[PrivateT, ReconstructionT, ResultT]):
    """What an audit asks of the kind of data: here alone do truth and recovery meet."""

    @abstractmethod
    def truth(self, private: PrivateT) -> Any:
        """The truth as watchers are given it."""

    @abstractmethod
    def scored(self, update: SharedUpdate, found: ReconstructionT, private: PrivateT) -> ResultT:
        """Pair what was found with the truth, and score it."""

    @abstractmethod
    def failed(self, error: Exception, seconds: float, private: PrivateT) -> ResultT:
        """The result of an update whose attack raised `error` after so many seconds."""


def audit_each(
    scoring: Scoring[PrivateT, ReconstructionT, ResultT],
    model: Any,
    attack: AttackCall,
    exchanges: Sequence[tuple[Callable[[], SharedUpdate], PrivateT]],
    *,
    seed: int = 0,
    budget: Budget | None = None,
    watcher: Watcher = NO_WATCHER,
) -> tuple[list[ResultT], bool]:
    """Have each update made, attack it, and score what comes back.

    Args:
        scoring: of the kind of data.
        model: the public model.
        attack: called as `attack(model, update, seed=…, budget=…, on_event=…)`; update `i` takes
            `seed + i`.
        exchanges: what makes each update, and the truth behind it.
        seed: seeds the attack.
        budget: what the attack on each update may spend.
        watcher: told of every step.

    Returns:
        The results, and whether the user ended the run.

    Raises:
        Exception: whatever ended every attack, the first of it; where only some fail, results say so.
    """
    results: list[ResultT] = []
    failure: Exception | None = None
    try:
        for i, (share, private) in enumerate(exchanges):
            started, truth = time.perf_counter(), scoring.truth(private)
            update = None
            try:
                update = share()
                watcher.begin(i, len(exchanges), update, truth)
                found = attack(model, update, seed=seed + i, budget=budget, on_event=watcher.event)
            except Exception as error:
                if len(exchanges) == 1:
                    raise
                if update is None:
                    watcher.begin(i, len(exchanges), None, truth)
                failure = failure or error
                results.append(scoring.failed(error, time.perf_counter() - started, private))
            else:
                results.append(scoring.scored(update, found, private))
            watcher.scored(results[-1])
            if results[-1].reconstruction.interrupted:
                return results, True
    except KeyboardInterrupt:
        return results, True
    if failure is not None and all(result.failure is not None for result in results):
        raise failure
    return results, False
