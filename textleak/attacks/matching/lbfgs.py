"""L-BFGS on points, of text and images alike: with a line search for every restart, or as the paper runs it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from textleak.optim import BatchedLBFGS, LBFGSOptions
from textleak.optim.lbfgs import Closure

Iterate = tuple[Tensor, Tensor, int]  # points (R, D), distances (R,), evaluations so far


def lbfgs(closure: Closure, start: Tensor, options: LBFGSOptions) -> Iterator[Iterate]:
    """Yield the start (R, D), then the points after every evaluation, until every restart rests."""
    solver = BatchedLBFGS(start, closure, options)
    yield solver.points, solver.values, solver.evaluations * len(start)
    while not bool(solver.stalled.all()):
        solver.step()
        yield solver.points, solver.values, solver.evaluations * len(start)


def paper_lbfgs(
    closure: Closure, start: Tensor, history: int, inner: int = 20
) -> Iterator[Iterate]:
    """The same as the paper's code: learning rate 1, no line search, restarts coupled.

    Args:
        closure: objectives (R,) and their gradients (R, D).
        start: (R, D).
        history: curvature pairs kept.
        inner: iterations between what is yielded; 20 in DLG, section 4.1.
    """
    points = start.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [points],
        lr=1.0,
        max_iter=inner,
        history_size=history,
        tolerance_grad=0,
        tolerance_change=0,
    )
    values, _ = closure(start)
    evaluations = len(start)
    yield start, values, evaluations

    def evaluate() -> Tensor:
        nonlocal values, evaluations
        values, points.grad = closure(points)
        evaluations += len(start)
        return values.sum()

    while bool(torch.isfinite(points).all()):
        solver.step(evaluate)  # type: ignore[no-untyped-call]
        yield points.detach().clone(), values, evaluations
