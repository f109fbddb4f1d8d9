"""L-BFGS over many independent problems at once, one gradient evaluation for all of them.

`torch.optim.LBFGS` sees one flat vector: with R restarts on the batch axis it would share one step
size and one curvature history between them, and a restart that diverges would spoil the others.
Here every row has its own history and its own line search. Rows never wait for one another either:
each evaluation is a trial point for every row, and a row whose trial is accepted goes on to its
next direction while another still brackets its step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.optim.history import CurvatureHistory
from textleak.optim.line_search import LineSearch

Closure = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points (R, D) to the objectives (R,) and their gradients (R, D)."""

_TINY = 1e-30


class LBFGSOptions(BaseModel):
    """How steps are chosen.

    Attributes:
        learning_rate: the first step length tried along a direction.
        history: curvature pairs kept a row (DLG's 100).
        armijo: the decrease that a step must reach, as a fraction of the slope's promise.
        curvature: the fraction of the slope that an accepted step may leave.
        trials: evaluations after which a search gives up and the row drops its history.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=1.0, gt=0)
    history: int = Field(default=100, ge=1)
    armijo: float = Field(default=1e-4, gt=0, lt=1)
    curvature: float = Field(default=0.9, gt=0, lt=1)
    trials: int = Field(default=20, ge=2)


class BatchedLBFGS:
    """Minimises R functions of D variables with independent steps (Liu and Nocedal 1989).

    Args:
        start: (R, D) the first points; not modified.
        closure: the objectives and gradients at (R, D) points; a row that is not finite counts as a
            step too long.
        options: how steps are chosen.

    Attributes:
        points: (R, D) where each row stands: the lowest point it has accepted.
        values: (R,) the objectives there.
        gradients: (R, D) the gradients there.
        steps: (R,) accepted steps.
        evaluations: calls of the closure; each evaluates all rows.
        stalled: (R,) rows on which even a steepest-descent search found no decrease.
    """

    def __init__(
        self, start: Tensor, closure: Closure, options: LBFGSOptions | None = None
    ) -> None:
        self.options = options or LBFGSOptions()
        self._closure = closure
        self._search = LineSearch(len(start), start, self.options.armijo, self.options.curvature)
        self._direction = torch.zeros_like(start)
        self.points = start.detach().clone()
        self.values, self.gradients = closure(self.points)
        self._history = CurvatureHistory(self.gradients, self.options.history)
        self.evaluations = 1
        self.steps = torch.zeros(len(start), dtype=torch.long, device=start.device)
        self.stalled = torch.zeros_like(self.steps, dtype=torch.bool)
        self._aim(~self.stalled)

    def step(self) -> Tensor:
        """Evaluate one trial point of every row.

        Returns:
            (R,) whether each row moved.
        """
        length = self._search.length
        trial = self.points + length[:, None] * self._direction
        values, gradients = self._closure(trial)
        self.evaluations += 1
        finite = values.isfinite() & gradients.isfinite().all(1)
        values = torch.where(finite, values, torch.inf)
        gradients = torch.where(finite[:, None], gradients, 0.0)
        slopes = (gradients * self._direction).sum(1)
        wolfe, low_enough = self._search.judge(values, slopes)
        spent = self._search.trials >= self.options.trials
        # A search that gives up keeps a decrease that it has in hand.
        accepted = (wolfe | (spent & low_enough)) & (values < self.values)
        failed = spent & ~accepted
        self._move(accepted, trial, values, gradients)
        self.stalled = (self.stalled & ~accepted) | (failed & (self._history.filled == 0))
        self._history.forget(failed)
        self._aim(accepted | failed)
        return accepted

    def _move(self, accepted: Tensor, trial: Tensor, values: Tensor, gradients: Tensor) -> None:
        if not bool(accepted.any()):
            return
        self._history.move(accepted, trial - self.points, gradients)
        self.points = torch.where(accepted[:, None], trial, self.points)
        self.values = torch.where(accepted, values, self.values)
        self.gradients = torch.where(accepted[:, None], gradients, self.gradients)
        self.steps = self.steps + accepted

    def _aim(self, rows: Tensor) -> None:
        """Give the chosen rows (R,) a new direction and begin its search."""
        if not bool(rows.any()):
            return
        direction = self._history.directions()
        slopes = (direction * self.gradients).sum(1)
        uphill = rows & ~(slopes < 0)
        if bool(uphill.any()):  # rounding has spoilt these rows' history
            self._history.forget(uphill)
            direction = torch.where(uphill[:, None], -self.gradients, direction)
            slopes = (direction * self.gradients).sum(1)
        self._direction = torch.where(rows[:, None], direction, self._direction)
        # Without pairs the scale is unknown; as in torch, the first step moves by 1 in all at most.
        total = self.gradients.abs().sum(1).clamp_min(_TINY)
        shrink = torch.where(self._history.filled == 0, (1 / total).clamp_max(1.0), 1.0)
        self._search.begin(rows, self.values, slopes, self.options.learning_rate * shrink)
