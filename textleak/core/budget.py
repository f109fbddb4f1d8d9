"""What an attack may spend, and where it looks whether that is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Stop = Literal["budget", "user"]


@dataclass(frozen=True)
class Budget:
    """What one attack on one update may spend; what is None is not limited.

    Attributes:
        seconds: from the attack's start, by `clock`. What proves the result comes on top.
        evaluations: candidate gradients. An attack looks after a step, so the last one may exceed it.
        clock: seconds since any moment: `time.process_time` counts what a busy machine gives.
    """

    seconds: float | None = None
    evaluations: int | None = None
    clock: Callable[[], float] = time.perf_counter

    def describe(self) -> str:
        """The limits, for people.

        >>> Budget(seconds=60, evaluations=500).describe()
        '60 s or 500 evaluations'
        """
        seconds = [] if self.seconds is None else [f"{self.seconds:g} s"]
        evaluations = [] if self.evaluations is None else [f"{self.evaluations} evaluations"]
        return " or ".join(seconds + evaluations) or "no limit"


UNLIMITED = Budget()


class BudgetSpent(BaseException):
    """The attack under way ends here; no `except Exception` on its way takes it for its own."""


class Meter:
    """What an attack has spent of its budget.

    Attributes:
        evaluations: candidate gradients evaluated so far.
        spent: the budget was found to be spent. From then on nothing is stopped any more: what an
            attack does with its best so far runs to its end.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.evaluations = 0
        self.spent = False
        self._begun = budget.clock()

    def check(self) -> None:
        """Raise BudgetSpent the first time that the budget is found to be spent."""
        if not self.spent and self._over():
            self.spent = True
            raise BudgetSpent

    def _over(self) -> bool:
        most, seconds = self.budget.evaluations, self.budget.seconds
        if most is not None and self.evaluations >= most:
            return True
        return seconds is not None and self.budget.clock() - self._begun >= seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, every `checkpoint` looks at this meter."""
        before = _UNDER_WAY.set(self)
        try:
            yield
        finally:
            _UNDER_WAY.reset(before)


_UNDER_WAY: ContextVar[Meter | None] = ContextVar("meter", default=None)


def checkpoint() -> None:
    """End the attack under way if its budget is spent: for long loops that know no attack.

    Raises:
        BudgetSpent: it is. Who has something to hand back catches it; without an attack nothing is raised.
    """
    meter = _UNDER_WAY.get()
    if meter is not None:
        meter.check()
