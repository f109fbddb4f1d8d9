"""What every attack's run shares, whatever it recovers: the clock, the events, the untouched model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from torch import nn

from textleak.core.budget import UNLIMITED, Budget, BudgetSpent, Meter, Stop
from textleak.core.errors import BudgetError
from textleak.core.events import OnEvent
from textleak.core.modality import CandidateT, Modality, ModelT
from textleak.core.randomness import own_generators

Checked = TypeVar("Checked")


class BaseSession(Generic[ModelT, CandidateT]):
    """One attack under way: its clock, its budget, events, and the best so far.

    Args:
        modality: the kind of data that is recovered.
        on_event: called with every event, if anyone watches.
        budget: what the attack may spend.

    Attributes:
        modality: the same.
        meter: what it has spent of it.
        best: what is handed back if the attack is stopped.
        told: whether it has said where it stands.
    """

    def __init__(
        self,
        modality: Modality[ModelT, CandidateT, Any],
        on_event: OnEvent | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.modality = modality
        self.meter = Meter(budget or UNLIMITED)
        self.best: CandidateT | None = None
        self.told = False
        self._on_event = on_event
        self._started = time.perf_counter()

    @property
    def evaluations(self) -> int:
        """Candidate gradients evaluated so far."""
        return self.meter.evaluations

    @property
    def spent(self) -> bool:
        """Whether the budget ended the attack: what is left to do is to hand back its best."""
        return self.meter.spent

    def evaluated(self, count: int) -> None:
        """Count gradients that were evaluated."""
        self.meter.evaluations += count

    def check(self) -> None:
        """End the attack if its budget is spent and there is a best to hand back.

        For what goes on for long between two candidates.

        Raises:
            BudgetSpent: so it is.
        """
        if self.best is not None:
            self.meter.check()

    @property
    def watched(self) -> bool:
        """Whether anyone listens to the events."""
        return self._on_event is not None

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start."""
        return time.perf_counter() - self._started

    def emit(self, event: Any) -> None:
        """Pass an event on to whoever watches."""
        if self._on_event is not None:
            self._on_event(event)

    def progress(
        self, candidate: CandidateT, *, stage: str, iteration: int, total: int | None = None
    ) -> None:
        """Keep `candidate` as the best so far, and tell where the attack stands.

        Raises:
            BudgetSpent: the budget ends the attack here.
        """
        self.best, self.told = candidate, True
        if self.watched:
            facts = dict(stage=stage, iteration=iteration, total=total)
            facts |= dict(evaluations=self.evaluations, seconds=self.seconds)
            facts["objective"] = self.modality.objective(candidate)
            self.emit(self.modality.step(candidate, facts))
        self.meter.check()


def carry_out(
    algorithm: Callable[[], CandidateT],
    check: Callable[[CandidateT], Checked],
    run: BaseSession[ModelT, CandidateT],
    module: nn.Module,
    seed: int,
) -> tuple[CandidateT, Checked, Stop | None]:
    """Run an attack's algorithm, seeded, and leave the model as it was found.

    Args:
        algorithm: the attack itself.
        check: compares the gradient of what it found with the shared one.
        run: holds the budget, and the best so far for when the attack is stopped.
        module: the model that is put back on every way out.
        seed: seeds everything random.

    Returns:
        What was found, the outcome of the check, and what stopped the attack, if anything did.

    Raises:
        BudgetError: the budget was spent before anything was found.
        KeyboardInterrupt: interrupted before anything was found.
    """
    stopped: Stop | None = None
    device = next(module.parameters()).device
    with untouched(module), own_generators(device, seed, "attack"):
        try:
            with run.meter.running():
                found = algorithm()
        except KeyboardInterrupt:
            if run.best is None:
                raise
            found, stopped = run.best, "user"
        except BudgetSpent:
            if run.best is None:
                limit = run.meter.budget.describe()
                raise BudgetError(f"nothing was found within {limit}: give more") from None
            found = run.best
        if run.spent and stopped is None:
            stopped = "budget"
        return found, check(found), stopped


def stop_warnings(stopped: Stop | None, budget: Budget | None) -> tuple[str, ...]:
    """What is said of a result that the budget cut short."""
    if stopped != "budget" or budget is None:
        return ()
    return (f"stopped by its budget of {budget.describe()}: this is the best so far",)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; modes, gradients and `requires_grad` as they were, on every way out."""
    modes = [(child, child.training) for child in module.modules()]
    grads = [(p, p.grad, p.requires_grad) for p in module.parameters()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training
        for parameter, grad, requires_grad in grads:
            parameter.grad = grad
            parameter.requires_grad_(requires_grad)
