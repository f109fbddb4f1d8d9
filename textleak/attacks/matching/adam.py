"""Adam on points, of text and images alike, the best of each restart kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import Count
from textleak.optim.lbfgs import Closure

Penalty = Callable[[Tensor], Tensor]
Change = Callable[[int, Tensor], Tensor | None]


class AdamOptions(BaseModel):
    """How Adam goes.

    Attributes:
        iterations: steps.
        learning_rate: the first step's.
        decay: what the learning rate is multiplied with.
        decay_every: iterations between two such decays.
        decay_at: or fractions of all iterations at which it decays.
        weight_decay: AdamW's.
        report_every: iterations between two reports.
        signed: step by the gradient's sign (Geiping et al., NeurIPS 2020, section 4).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: Count = 300
    learning_rate: float = Field(default=0.1, gt=0)
    decay: float = Field(default=1.0, gt=0, le=1)
    decay_every: Count = 50
    decay_at: tuple[float, ...] = ()
    weight_decay: float = Field(default=0.0, ge=0)
    signed: bool = False
    report_every: Count = 20


@dataclass(frozen=True)
class Step:
    """What is known after an evaluation, before the step that follows from it.

    Attributes:
        iteration: from 1.
        best: (R, D) the lowest point of each restart so far.
        lowest: (R,) the objectives there.
        diverged: no restart has a finite objective any more: this is the last step.
    """

    iteration: int
    best: Tensor
    lowest: Tensor
    diverged: bool = False

    def due(self, options: AdamOptions) -> bool:
        """Whether it is to be reported: the first, the last, and every so many."""
        return self.iteration % options.report_every == 0 or self.iteration in (
            1,
            options.iterations,
        )


def adam(
    closure: Closure,
    start: Tensor,
    options: AdamOptions,
    *,
    penalty: Penalty | None = None,
    judged: bool = True,
    change: Change | None = None,
) -> Iterator[Step]:
    """Go from `start` (R, D), and yield after every evaluation.

    Args:
        closure: objectives (R,) and their gradients (R, D).
        start: the first points; not modified.
        options: how it goes.
        penalty: a prior on the points, (R,), added to the objective.
        judged: whether the best is told by the objective with its prior, or by the first alone.
        change: given the iteration and the points after its step, new points or None.
    """
    points = torch.nn.Parameter(start.detach().clone())
    solver = torch.optim.AdamW(
        [points], lr=options.learning_rate, weight_decay=options.weight_decay
    )
    schedule = _schedule(solver, options)
    best, lowest = start.detach().clone(), torch.full((len(start),), torch.inf).to(start)
    for iteration in range(1, options.iterations + 1):
        values, slopes = closure(points.detach())
        if penalty is not None:
            extra, more = _sloped(penalty, points)
            values, slopes = values + extra if judged else values, slopes + more
        if not bool(torch.isfinite(values).any()):
            yield Step(iteration, best, lowest, diverged=True)
            return
        better = values < lowest
        lowest = torch.where(better, values, lowest)
        best = torch.where(better[:, None], points.detach(), best)
        yield Step(iteration, best, lowest)
        points.grad = slopes.sign() if options.signed else slopes
        solver.step()
        schedule.step()
        moved = change(iteration, points.detach()) if change is not None else None
        if moved is not None:
            points.data.copy_(moved)


def _sloped(penalty: Penalty, points: Tensor) -> tuple[Tensor, Tensor]:
    free = points.detach().clone().requires_grad_()
    extra = penalty(free)
    (slopes,) = torch.autograd.grad(extra.sum(), free)
    return extra.detach(), slopes


def _schedule(
    solver: torch.optim.Optimizer, options: AdamOptions
) -> torch.optim.lr_scheduler.LRScheduler:
    if not options.decay_at:
        return torch.optim.lr_scheduler.StepLR(solver, options.decay_every, gamma=options.decay)
    milestones = [int(share * options.iterations) for share in options.decay_at]
    return torch.optim.lr_scheduler.MultiStepLR(solver, milestones, gamma=options.decay)
