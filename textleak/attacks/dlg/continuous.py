"""The continuous stage of `dlg`: dummy inputs and soft labels moved until their gradient matches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from textleak.attacks.base import Session
from textleak.attacks.dlg.options import DlgOptions
from textleak.attacks.matching.decode import decode
from textleak.attacks.matching.dummy import Dummy, DummyEmbeddings, DummyTokens
from textleak.attacks.matching.facts import Facts, gather_facts
from textleak.attacks.matching.labels import make_labels
from textleak.attacks.matching.lbfgs import Iterate, lbfgs, paper_lbfgs
from textleak.attacks.matching.nearest import Nearest
from textleak.attacks.matching.objective import Objective, at_once
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import MATCHERS, Distance, Matcher
from textleak.models.text_model import TextModel
from textleak.optim import LBFGSOptions


class Continuous:
    """The continuous stage, continued from round to round, and its decoded state."""

    def __init__(
        self, model: TextModel, update: SharedUpdate, session: Session, options: DlgOptions
    ) -> None:
        self.facts = gather_facts(model, update, options)
        self.nearest: Nearest | None = None
        self._session, self._options = session, options
        self._objective = Objective(
            model,
            self.facts,
            _dummy(model, self.facts, options),
            make_labels(model, update, self.facts, options),
            make_matcher(
                model, update, options, options.distance, word_weight=_dummy_weight(options)
            ),
            at_once(model, options.at_once),
        )
        start = self._objective.start(options.restarts)
        self._iterates = enumerate(minimise(self._objective, start, options))
        self._spent = self._rounds = 0
        self._last: Candidate | None = None

    def advance(self) -> Candidate | None:
        """Run one round's iterations; the best restart decoded, None when all have come to rest."""
        found = None
        count = self._options.iterations + (self._rounds == 0)  # the start counts as iteration 0
        self._rounds += 1
        for iteration, iterate in islice(self._iterates, count):
            self._session.evaluated(iterate[2] - self._spent)
            self._spent = iterate[2]
            found = self._decode(iterate, iteration)
            total = self._options.iterations * self._options.rounds
            self._session.progress(found, stage="match", iteration=iteration, total=total)
        return found

    def _decode(self, iterate: Iterate, iteration: int) -> Candidate:
        """The best restart that has not diverged; where none is left, what the last one was."""
        variables, values, _ = iterate
        sound = torch.isfinite(variables).all(1) & torch.isfinite(values)
        if self._last is not None and not bool(sound.any()):
            note = f"diverged at iteration {iteration}: the text is of the one before"
            return replace(self._last, objective=math.inf, notes=(note,))
        best = int(torch.where(sound, values, torch.inf).argmin())
        self._last, self.nearest = decode(
            self._objective, variables[best], float(values[best]), self._options.nearest
        )
        return self._last


def minimise(objective: Objective, start: Tensor, options: DlgOptions) -> Iterator[Iterate]:
    """Yield the start, then the variables after every iteration, until every restart rests."""
    if options.optimizer == "paper":
        return paper_lbfgs(objective, start, options.history)
    return lbfgs(objective, start, LBFGSOptions(history=options.history))


def _dummy(model: TextModel, facts: Facts, options: DlgOptions) -> Dummy:
    """The dummy input that `options.dummy` asks for."""
    if options.dummy == "tokens":
        return DummyTokens(model, facts)
    return DummyEmbeddings(model, facts, options.metric, scale=options.start_scale)


def make_matcher(
    model: TextModel, update: SharedUpdate, options: DlgOptions, kind: str, *, word_weight: float
) -> Matcher:
    """How gradients are compared by `kind`, with weights on the word and the position table."""
    embeddings = model.family.embeddings
    positions = [] if embeddings.positions is None else [embeddings.positions.name]
    rows = tuple(positions) if kind == "cosine" and options.position_weight > 0 else ()
    weights = dict.fromkeys(positions, options.position_weight)
    distance = Distance(
        kind=kind,
        weights={**weights, embeddings.words.name: word_weight},
        row_cosine=rows,
    )
    return MATCHERS.load(options.engine)(model.module, update.gradients, distance)


def _dummy_weight(options: DlgOptions) -> float:
    """Free embeddings have no words, so the word table's gradient cannot match: it is left out.

    The paper's L2 takes every tensor as it comes.
    """
    return 0.0 if options.dummy == "embeddings" and options.distance != "l2" else 1.0
