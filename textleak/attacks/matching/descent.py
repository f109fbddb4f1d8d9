"""Adam on free embeddings towards the shared gradient: what the published baselines share."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from pydantic import Field
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.matching.adam import AdamOptions, Change, Penalty, Step, adam
from textleak.attacks.matching.decode import decode
from textleak.attacks.matching.dummy import DummyEmbeddings
from textleak.attacks.matching.facts import gather_facts
from textleak.attacks.matching.labels import make_labels
from textleak.attacks.matching.objective import Objective, at_once
from textleak.attacks.matching.options import MatchingOptions
from textleak.core.bounds import Count
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import MATCHERS, Distance
from textleak.models.text_model import TextModel


class DescentOptions(MatchingOptions, AdamOptions):
    """Adam on free embeddings; lengths are in units of one, not of the word table's spread.

    Attributes:
        start_scale: standard deviation of the normal start.
    """

    words: Literal["gradient", "vocabulary"] = "vocabulary"
    restarts: Count = 1
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
    total = options.iterations
    for step in adam(objective, start, options, penalty=penalty, change=change):
        session.evaluated(len(start))
        if not (step.diverged or step.due(options)):
            continue
        found = _best(objective, step)
        if step.diverged:
            note = f"diverged at iteration {step.iteration}: the text is of the best one before"
            found = replace(found, objective=math.inf, notes=(note,))
        session.progress(found, stage="match", iteration=step.iteration, total=total)
    return found


def _best(objective: Objective, step: Step) -> Candidate:
    at = int(step.lowest.argmin())
    return decode(objective, step.best[at], float(step.lowest[at]))[0]
