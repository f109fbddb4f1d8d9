"""The search for the likeliest batch: words that evidence proposes, scored by exact likelihoods."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textleak.attacks.dlg.moves import (
    Move,
    apply_all,
    block_moves,
    class_moves,
    compatible,
    swap_moves,
    word_moves,
)
from textleak.attacks.likelihood.options import LikelihoodOptions
from textleak.attacks.likelihood.responses import Responses
from textleak.attacks.matching.facts import Place, free_places
from textleak.core.batch import TokenBatch
from textleak.likelihood.competitors import Competitors
from textleak.likelihood.likelihoods import Likelihoods
from textleak.likelihood.margins import alone
from textleak.likelihood.options import MarginOptions
from textleak.likelihood.scoring import Parts
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import replaced


@dataclass(frozen=True)
class Scored:
    """A batch and its log-likelihood in nats."""

    batch: TokenBatch
    nats: float


class Climb:
    """Climbs from one batch to likelier ones.

    Args:
        model: the public model.
        likelihoods: of whole batches.
        names: the shared parameters.
        words: (W,) ids that can stand inside a sequence.
        evidence: nats for each of `words` at a place of the position table, (T, W); None where no
            rows tell.
        options: how hard to try.
        tell: told of every batch that is the likeliest so far, and of scored candidates.
    """

    def __init__(
        self,
        model: TextModel,
        likelihoods: Likelihoods,
        names: Sequence[str],
        words: Tensor,
        evidence: Tensor | None,
        options: LikelihoodOptions,
        tell: Callable[[Scored, int], None],
    ) -> None:
        self._model, self._likelihoods, self._names = model, likelihoods, list(names)
        self._words, self._evidence = words, evidence
        self._options, self._tell = options, tell
        self._known: tuple[Scored, bool] | None = None
        self._best: Scored | None = None

    def run(self, starts: Iterable[TokenBatch]) -> Scored:
        """The likeliest batch that was come upon, from one start after another until one fits."""
        best: Scored | None = None
        for start in starts:
            found = self._climbed(self._first(self._labelled(start)), best)
            best = found if best is None or found.nats > best.nats else best
            if self._settled(best):
                break
        if best is None:
            raise ValueError("expected a batch to start from, got none")
        return best

    def _climbed(self, current: Scored, best: Scored | None) -> Scored:
        self._best = best
        for _ in range(self._options.sweeps):
            before = current.nats
            for stage in (self._words_by_evidence, self._reordered, self._words_by_response):
                if self._settled(current):
                    break
                current = stage(current)
            current = self.nearby(current)
            if self._settled(current) or not current.nats > before:
                break
        return current

    def _settled(self, current: Scored) -> bool:
        """Whether what the batch leaves of the update is noise to all appearance."""
        if self._known is None or self._known[0] is not current:
            self._told(current, 1)
            self._known = (current, self._likelihoods.misfit(current.batch) < self._options.doubt)
        return self._known[1]

    def _quick(self, batches: Sequence[TokenBatch]) -> Tensor:
        """A score that takes no pass back: the head's likelihood, and what the rows say of the words."""
        if not self._likelihoods.by_head:
            return self._likelihoods(batches)
        nats = self._likelihoods.of_head(batches)
        if self._evidence is None or len(batches[0].input_ids) > 1:
            return nats
        return nats + torch.stack([self._said(batch.input_ids[0]).sum() for batch in batches])

    def _said(self, ids: Tensor) -> Tensor:
        """What the rows say of a sequence's words at their places, (T,)."""
        assert self._evidence is not None
        ids = ids[: len(self._evidence)]
        at = torch.searchsorted(self._words, ids).clamp_max(len(self._words) - 1)
        said = self._evidence[torch.arange(len(ids)), at].double()
        return said.where(self._words[at] == ids, 0)

    def _labelled(self, batch: TokenBatch) -> TokenBatch:
        """The batch with the likeliest classes, where it has classes."""
        if not self._model.task.one_class:
            return batch
        while True:
            moves = list(class_moves(batch, self._model.label_count))
            tried = [batch, *(move.apply(batch) for move in moves)]
            best = int(self._likelihoods(tried).argmax())
            if best == 0:
                return batch
            batch = tried[best]

    def _first(self, batch: TokenBatch) -> Scored:
        found = Scored(batch, float(self._likelihoods([batch])[0]))
        return self._told(found, 1)

    def _places(self, current: Scored) -> list[Place]:
        special = torch.tensor(sorted(set(self._model.tokenizer.all_special_ids)))
        unknown = int(self._model.tokenizer.unk_token_id)
        fixed = torch.isin(current.batch.input_ids, special[special != unknown])
        return free_places(~fixed & current.batch.attention_mask.bool())

    def _words_by_evidence(self, current: Scored) -> Scored:
        if self._evidence is None:
            return current
        count = min(self._options.words, len(self._words))
        lists = {
            place: self._words[self._at(place).topk(count).indices].tolist()
            for place in self._places(current)
        }
        while True:
            better = self._by_moves(current, list(word_moves(current.batch, lists)))
            if better is current:
                return current
            current = better

    def _reordered(self, current: Scored) -> Scored:
        places = self._places(current)
        while True:
            moves = list(swap_moves(current.batch, places))
            moves += block_moves(current.batch, places, self._options.blocks)
            better = self._by_moves(current, moves)
            if better is current:
                return current
            current = better

    def _words_by_response(self, current: Scored) -> Scored:
        if not self._likelihoods.by_head or not Responses.readable(self._model, current.batch):
            return current
        responses = Responses(self._model, self._likelihoods, self._words, self._options)
        for place in self._unsure(current):
            words, count = responses.propose(current.batch, place[1], self._at(place))
            self._told(current, count)
            here = int(current.batch.input_ids[place])
            tried = [word for word in words if word != here][: self._options.nearest]
            moves = [Move(words=((place, word),)) for word in tried]
            current = self._by_moves(current, moves)
        return current

    def _at(self, place: Place) -> Tensor:
        """What the rows say of all words at a place, (W,)."""
        if self._evidence is None or place[1] >= len(self._evidence):
            return torch.zeros(len(self._words))
        return self._evidence[place[1]]

    def _unsure(self, current: Scored) -> list[Place]:
        """The places at which the rows leave it open which word stands, the most open first."""
        open_: list[tuple[float, Place]] = []
        for place in self._places(current):
            word = self._words == current.batch.input_ids[place]
            shares = self._at(place).log_softmax(0)[word]
            doubt = -float(shares[0]) if len(shares) else math.inf
            if doubt > self._options.sure:
                open_.append((doubt, place))
        return [place for _, place in sorted(open_, reverse=True)]

    def _by_moves(self, current: Scored, moves: Sequence[Move]) -> Scored:
        """The best of the moves, several together where that is better still."""
        if not moves:
            return current
        quick = self._quick([move.apply(current.batch) for move in moves])
        order = quick.argsort(descending=True).tolist()
        together = self._together([moves[i] for i in order], quick[order], current)
        tried = [*together, *(moves[i].apply(current.batch) for i in order[: self._options.exact])]
        nats = self._likelihoods(tried)
        self._told(current, len(tried))
        best = int(nats.argmax())
        if not float(nats[best]) > current.nats:
            return current
        return self._told(Scored(tried[best], float(nats[best])))

    def _together(self, moves: Sequence[Move], quick: Tensor, current: Scored) -> list[TokenBatch]:
        """The batch after several moves at once, where that is better than any by the quick score."""
        now = float(self._quick([current.batch])[0])
        chosen = compatible([m for m, nats in zip(moves, quick, strict=True) if float(nats) > now])
        while len(chosen) > 1:
            batch = apply_all(chosen, current.batch)
            if float(self._quick([batch])[0]) > float(quick[0]):
                return [batch]
            chosen = chosen[: len(chosen) // 2]
        return []

    def nearby(self, current: Scored) -> Scored:
        """The likeliest of the found sequences' own competitors: near words, swaps, a word less or more."""
        options = replace(MarginOptions(), nearest=self._options.nearest, probes=8)
        competitors = Competitors(self._model, options)
        pad = int(self._model.tokenizer.pad_token_id)
        while True:
            before = current
            for row in range(len(current.batch.input_ids)):
                own = alone(current.batch, row)
                parts = Parts(self._model, self._names, current.batch)
                probes = parts.probes(own, [1.0] * len(parts.names), options.probes)
                tried = [
                    replaced(current.batch, other, pad)
                    for other in competitors.of(own, probes, row)
                ]
                nats = self._likelihoods(tried)
                self._told(current, len(tried))
                if len(tried) and float(nats.max()) > current.nats:
                    current = self._told(Scored(tried[int(nats.argmax())], float(nats.max())))
            if current is before:
                return current

    def _told(self, found: Scored, count: int = 0) -> Scored:
        """Pass on what is found, with how many candidates were scored; what is best so far is kept."""
        best = self._best
        self._tell(found if best is None or found.nats > best.nats else best, count)
        return found
