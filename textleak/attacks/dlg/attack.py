"""`dlg`: Deep Leakage from Gradients (Zhu, Liu, Han, NeurIPS 2019) for text, made to work."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from textleak.attacks.base import Attack, Session
from textleak.attacks.dlg.continuous import Continuous, make_matcher
from textleak.attacks.dlg.discrete import Scored, Search
from textleak.attacks.dlg.options import DlgOptions, DlgPaperOptions
from textleak.attacks.matching.decode import with_neighbours
from textleak.attacks.matching.facts import Place, free_places, place_scores
from textleak.attacks.matching.objective import at_once
from textleak.attacks.scoring import BatchScorer
from textleak.core.batch import TokenBatch
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.evidence.labels import evident_labels
from textleak.evidence.spans import row_span
from textleak.models.text_model import TextModel


class Dlg(Attack[DlgOptions]):
    """Match gradients with continuous dummies, decode, and settle what is left by discrete search."""

    name: ClassVar[str] = "dlg"
    options_class: ClassVar[type[BaseModel]] = DlgOptions

    def run(
        self,
        model: TextModel,
        update: SharedUpdate,
        session: Session,
        start: TokenBatch | None = None,
    ) -> Candidate:
        """Rounds of a continuous stage and a discrete one, until the gradient is matched.

        Args:
            model: the public model.
            update: what the client shared.
            session: told of progress.
            start: a batch that other evidence suggests; the discrete stage begins from it too.
        """
        continuous = Continuous(model, update, session, self.options)
        search = Discrete(model, update, session, self.options, continuous, start)
        best: Candidate | None = None
        for _ in range(self.options.rounds):
            found = continuous.advance()
            if found is None:  # every restart has come to rest
                break
            if self.options.discrete:
                found = search.settle(found)
            if best is None or found.objective < best.objective:
                best = found
            if session.modality.explains(update, best):
                break
        if best is None:
            raise RuntimeError("the continuous stage ended before its first iteration")
        return best


class DlgPaper(Dlg):
    """The same as the paper runs it: every tensor's L2, plain L-BFGS, soft labels, nearest word."""

    name: ClassVar[str] = "dlg-paper"
    options_class: ClassVar[type[BaseModel]] = DlgPaperOptions


class Discrete:
    """The discrete stage: from a decoded batch to the best one near it by the true objective."""

    def __init__(
        self,
        model: TextModel,
        update: SharedUpdate,
        session: Session,
        options: DlgOptions,
        continuous: Continuous,
        start: TokenBatch | None,
    ) -> None:
        self._session, self._options, self._continuous = session, options, continuous
        self._start = start
        facts = continuous.facts
        matcher = make_matcher(
            model, update, options, "cosine", word_weight=options.position_weight
        )
        dense = model.family.head.dense
        dense_gradient = None if dense is None else dense.of(update.gradients)
        self._places = free_places(facts.free)
        self._affinity = place_scores(model, update, facts)
        self._sweeps = 0
        self._search = Search(
            model,
            facts,
            BatchScorer(model, matcher, at_once(model, options.chunk) or options.chunk),
            None if dense_gradient is None else row_span([dense_gradient]),
            lambda batch: evident_labels(model, update, batch),
            lambda batch: session.modality.explains(update, Candidate(batch, [], 0.0)),
            self._on_sweep,
            options.sweeps,
        )

    def settle(self, found: Candidate) -> Candidate:
        """Search from `found`, and from the words that fit their places best."""
        starts = [found.batch]
        if self._start is not None and self._start.lengths == found.batch.lengths:
            starts.append(self._start)
        fitting = self._fitting()
        if fitting is not None:
            ids = found.batch.input_ids.clone()
            words = self._continuous.facts.words
            ids[self._continuous.facts.free] = words[fitting.argmax(1)]
            starts.append(TokenBatch(ids, found.batch.attention_mask, found.batch.labels))
        scored = self._search.settle(starts, self._lists(fitting))
        return self._candidate(scored)

    def _fitting(self) -> Tensor | None:
        """How well each word fits each free place, by its gradient and by the dummy; (N, W)."""
        nearest = self._continuous.nearest
        if self._affinity is None or nearest is None:
            return None
        positions = torch.tensor([place[1] for place in self._places])
        columns = torch.searchsorted(self._continuous.facts.words, nearest.ids)  # (N, k)
        return self._affinity[positions].scatter_add(1, columns, nearest.weights())

    def _lists(self, fitting: Tensor | None) -> dict[Place, list[int]]:
        """The words to try at each free place: nearest to the dummy, and fitting the place."""
        nearest = self._continuous.nearest
        assert nearest is not None
        lists = nearest.ids[:, : self._options.nearest].tolist()
        if fitting is not None:
            words = self._continuous.facts.words
            best = words[fitting.topk(min(self._options.nearest, len(words)), dim=1).indices]
            lists = [list(dict.fromkeys(a + b)) for a, b in zip(lists, best.tolist(), strict=True)]
        return dict(zip(self._places, lists, strict=True))

    def _on_sweep(self, current: Scored, evaluations: int) -> None:
        self._session.evaluated(evaluations)
        self._sweeps += 1
        found = self._candidate(current)
        self._session.progress(found, stage="discrete", iteration=self._sweeps)

    def _candidate(self, scored: Scored) -> Candidate:
        nearest = self._continuous.nearest
        assert nearest is not None
        return with_neighbours(scored.batch, scored.value, nearest, self._continuous.facts.free)
