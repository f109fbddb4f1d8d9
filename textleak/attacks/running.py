"""What every attack's run shares, whatever it recovers: the clock, the events, the untouched model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from torch import nn

from textleak.core.randomness import own_generators

Found = TypeVar("Found")
Told = TypeVar("Told")
Checked = TypeVar("Checked")


class Run(Generic[Found, Told]):
    """One attack under way: the clock, the count of evaluations, events, and the best so far.

    Args:
        on_event: called with every event, if anyone watches.

    Attributes:
        evaluations: candidate gradients evaluated so far.
        best: what an interrupted attack hands back.
    """

    def __init__(self, on_event: Callable[[Told], None] | None) -> None:
        self.evaluations = 0
        self.best: Found | None = None
        self._on_event = on_event
        self._started = time.perf_counter()

    @property
    def watched(self) -> bool:
        """Whether anyone listens to the events."""
        return self._on_event is not None

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start."""
        return time.perf_counter() - self._started

    def emit(self, event: Told) -> None:
        """Pass an event on to whoever watches."""
        if self._on_event is not None:
            self._on_event(event)


def carry_out(
    algorithm: Callable[[], Found],
    check: Callable[[Found], Checked],
    run: Run[Found, Told],
    module: nn.Module,
    seed: int,
) -> tuple[Found, Checked, bool]:
    """Run an attack's algorithm, seeded, and leave the model as it was found.

    Args:
        algorithm: the attack itself.
        check: compares the gradient of what it found with the shared one.
        run: holds the best so far, for an interruption.
        module: the model that is put back on every way out.
        seed: seeds everything random.

    Returns:
        What was found, the outcome of the check, and whether the user interrupted.

    Raises:
        KeyboardInterrupt: interrupted before anything was found.
    """
    interrupted = False
    device = next(module.parameters()).device
    with untouched(module), own_generators(device, seed, "attack"):
        try:
            found = algorithm()
        except KeyboardInterrupt:
            if run.best is None:
                raise
            found, interrupted = run.best, True
        return found, check(found), interrupted


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
