"""The discrete stage: local search over words and labels by the true objective."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.attacks.dlg.moves import (
    Move,
    apply_all,
    block_moves,
    class_moves,
    compatible,
    label_moves,
    swap_moves,
    word_moves,
)
from textleak.attacks.dlg.options import DiscreteOptions
from textleak.attacks.matching.facts import Facts, Place, free_places
from textleak.attacks.scoring import BatchScorer
from textleak.core.batch import IGNORED, TokenBatch
from textleak.evidence.spans import Span
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class Scored:
    """A discrete batch and its objective."""

    batch: TokenBatch
    value: float


class Search:
    """Descends from one discrete batch to a better one, several moves at a time.

    Args:
        model: the public model.
        facts: the frame of the batch.
        scorer: the true objective of whole batches.
        head_span: the row space of the head's first dense layer: the states that bore loss
            (masked-LM, where that gradient is shared).
        evident: the batch with the labels that its words' head gradients show.
        solved: whether a batch's gradient is the shared one, to rounding.
        on_sweep: told of every sweep's outcome and of the evaluations it took.
        options: how far it looks.
    """

    def __init__(
        self,
        model: TextModel,
        facts: Facts,
        scorer: BatchScorer,
        head_span: Span | None,
        evident: Callable[[TokenBatch], TokenBatch],
        solved: Callable[[TokenBatch], bool],
        on_sweep: Callable[[Scored, int], None],
        options: DiscreteOptions,
    ) -> None:
        self._options = options
        self._model, self._facts, self._scorer = model, facts, scorer
        self._head_span, self._solved, self._on_sweep = head_span, solved, on_sweep
        self._evident = evident
        self._places = free_places(facts.free)
        self._placed = model.family.embeddings.positions is not None

    def settle(self, starts: Sequence[TokenBatch], lists: dict[Place, list[int]]) -> Scored:
        """Sweep over listed words and likely labels, then over swaps, until neither helps.

        Args:
            starts: batches to begin from; the best one by the objective is taken.
            lists: the words to try at each free place.
        """
        starts = [self._model.task.relabelled(batch) for batch in starts]
        starts = [*starts, *(self._relabelled(batch) for batch in starts)]
        values = self._scorer(starts)
        current = Scored(starts[int(values.argmin())], float(values.min()))
        self._on_sweep(current, len(starts))
        while not (current.value < self._options.near and self._solved(current.batch)):
            better = self._sweep(
                current, [*word_moves(current.batch, lists), *self._labels(current)]
            )
            if better is None:
                better = self._sweep(current, self._swaps(current))
            if better is None and not self._placed:
                better = self._sweep(
                    current, block_moves(current.batch, self._places, self._options.swaps)
                )
            if better is None:
                break
            current = self._better_labels(better)
        return current

    def _better_labels(self, current: Scored) -> Scored:
        """The batch with evident labels, where these come closer: numbers have no moves."""
        if self._model.task.bears == "places" or self._model.task.one_class:
            return current
        batch = self._evident(current.batch)
        value = float(self._scorer([batch])[0])
        return Scored(batch, value) if value < current.value else current

    def _relabelled(self, batch: TokenBatch) -> TokenBatch:
        """The labels that the head's gradients show: of masked-LM at the places that likely bore loss."""
        if self._model.task.bears != "places":
            return self._evident(batch)
        if self._head_span is None:
            return batch
        words = batch.labels[batch.labels != IGNORED]
        labels = torch.full_like(batch.labels, IGNORED)
        for place, word in zip(sorted(self._likely(batch)[: len(words)]), words, strict=True):
            labels[place] = word
        return TokenBatch(batch.input_ids, batch.attention_mask, labels)

    def _sweep(self, current: Scored, moves: Iterable[Move]) -> Scored | None:
        """Try every move; make the best ones together, halving until that beats the best alone."""
        moves = list(moves)
        values = self._scorer([move.apply(current.batch) for move in moves])
        self._on_sweep(current, len(moves))
        order = [
            int(i) for i in values.argsort() if values[i] < current.value - self._options.slack
        ]
        chosen = compatible([moves[i] for i in order])
        while len(chosen) > 1:
            together = apply_all(chosen, current.batch)
            value = float(self._scorer([together])[0])
            self._on_sweep(current, 1)
            if value < float(values[order[0]]):
                return Scored(together, value)
            chosen = chosen[: len(chosen) // 2]
        if not chosen:
            return None
        return Scored(chosen[0].apply(current.batch), float(values[order[0]]))

    def _swaps(self, current: Scored) -> list[Move]:
        moves = list(swap_moves(current.batch, self._places))
        order = torch.randperm(len(moves))[: self._options.swaps]
        return [moves[int(i)] for i in order]

    def _labels(self, current: Scored) -> list[Move]:
        task, labels = self._model.task, current.batch.labels
        if task.one_class:
            return list(class_moves(current.batch, self._model.label_count))
        if task.bears != "places":
            return [Move(labels=(change,)) for change in task.moves(self._model, labels)]
        count = int((current.batch.labels != IGNORED).sum())
        return list(
            label_moves(current.batch, self._likely(current.batch)[: count + self._options.spare])
        )

    def _likely(self, batch: TokenBatch) -> list[Place]:
        """The free places, those first whose state lies best in the head's row space."""
        if self._head_span is None:
            return self._places
        residuals = bearing_residuals(self._model, batch, self._head_span)[self._facts.free]
        return [self._places[int(i)] for i in residuals.argsort()]


def bearing_residuals(model: TextModel, batch: TokenBatch, span: Span) -> Tensor:
    """How far each state is from the states that bore loss, (B, T): 0 means it bore loss.

    The head's first dense layer sees masked positions only, so their states span its gradient's rows.
    """
    with torch.no_grad():
        on_device = batch.to(model.device)
        states = model.encode(on_device)
    return span.residual(states.cpu())
