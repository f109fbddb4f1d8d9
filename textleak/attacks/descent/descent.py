"""Adam on free embeddings towards the shared gradient: what the published baselines share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.dlg.decode import decode
from textleak.attacks.dlg.dummy import DummyEmbeddings
from textleak.attacks.dlg.facts import gather_facts
from textleak.attacks.dlg.labels import make_labels
from textleak.attacks.dlg.matching import Objective, at_once
from textleak.attacks.dlg.options import MatchingOptions
from textleak.core.bounds import Count
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import MATCHERS, Distance
from textleak.models.text_model import TextModel

REPORT_EVERY = 20
Penalty = Callable[[Tensor], Tensor]
Change = Callable[[int, Tensor], Tensor | None]


class DescentOptions(MatchingOptions):
    """How Adam goes; lengths are in units of an embedding, not of the word table's spread.

    Attributes:
        iterations: steps.
        learning_rate: the first step's.
        decay: what the learning rate is multiplied with.
        decay_every: iterations between two such decays.
        decay_at: or fractions of all iterations at which it decays.
        weight_decay: AdamW's.
        signed: step by the gradient's sign.
        start_scale: standard deviation of the normal start.
    """

    words: Literal["gradient", "vocabulary"] = "vocabulary"
    restarts: Count = 1
    iterations: Count = 300
    learning_rate: float = Field(default=0.1, gt=0)
    decay: float = Field(default=1.0, gt=0, le=1)
    decay_every: Count = 50
    decay_at: tuple[float, ...] = ()
    weight_decay: float = Field(default=0.0, ge=0)
    signed: bool = False
    start_scale: float = Field(default=1.0, gt=0)


def make_objective(
    model: TextModel, update: SharedUpdate, options: DescentOptions, distance: Distance
) -> Objective:
    """The distance of free embeddings' gradients from the shared one.

    Raises:
        UpdateError: what the attack needs is not granted.
    """
    facts = gather_facts(model, update, options)
    return Objective(
        model,
        facts,
        DummyEmbeddings(model, facts, options.metric, scale=options.start_scale, unit=1.0),
        make_labels(model, update, facts, options),
        MATCHERS.load(options.engine)(model.module, update.gradients, distance),
        at_once(model, options.at_once),
    )


def descend(
    objective: Objective,
    session: Session,
    options: DescentOptions,
    start: Tensor,
    *,
    penalty: Penalty | None = None,
    change: Change | None = None,
) -> Candidate:
    """Adam from `start` (R, D); the best point met, decoded.

    Args:
        objective: what is minimised.
        session: counts evaluations and is told of the best so far.
        options: how it goes.
        start: the first points.
        penalty: a prior on the points, (R,), added to the objective.
        change: given the iteration and the points after its step, new points or None.
    """
    points = torch.nn.Parameter(start.detach().clone())
    adam = torch.optim.AdamW([points], lr=options.learning_rate, weight_decay=options.weight_decay)
    schedule = _schedule(adam, options)
    best, lowest = start.detach().clone(), torch.full((len(start),), torch.inf).to(start)
    for iteration in range(1, options.iterations + 1):
        values, slopes = _evaluate(objective, points.detach(), penalty)
        session.evaluated(len(points))
        if not bool(torch.isfinite(values).any()):
            note = f"diverged at iteration {iteration}: the text is of the best one before"
            found = replace(_best(objective, best, lowest), objective=math.inf, notes=(note,))
            session.progress(found, stage="match", iteration=iteration, total=options.iterations)
            return found
        better = values < lowest
        lowest = torch.where(better, values, lowest)
        best = torch.where(better[:, None], points.detach(), best)
        if iteration % REPORT_EVERY == 0 or iteration in (1, options.iterations):
            found = _best(objective, best, lowest)
            session.progress(found, stage="match", iteration=iteration, total=options.iterations)
        points.grad = slopes.sign() if options.signed else slopes
        adam.step()
        schedule.step()
        moved = change(iteration, points.detach()) if change is not None else None
        if moved is not None:
            points.data.copy_(moved)
    return _best(objective, best, lowest)


def _evaluate(
    objective: Objective, points: Tensor, penalty: Penalty | None
) -> tuple[Tensor, Tensor]:
    values, slopes = objective(points)
    if penalty is None:
        return values, slopes
    free = points.clone().requires_grad_()
    extra = penalty(free)
    (more,) = torch.autograd.grad(extra.sum(), free)
    return values + extra.detach(), slopes + more


def _best(objective: Objective, best: Tensor, lowest: Tensor) -> Candidate:
    at = int(lowest.argmin())
    return decode(objective, best[at], float(lowest[at]))[0]


def _schedule(
    adam: torch.optim.Optimizer, options: DescentOptions
) -> torch.optim.lr_scheduler.LRScheduler:
    if not options.decay_at:
        return torch.optim.lr_scheduler.StepLR(adam, options.decay_every, gamma=options.decay)
    milestones = [int(share * options.iterations) for share in options.decay_at]
    return torch.optim.lr_scheduler.MultiStepLR(adam, milestones, gamma=options.decay)
