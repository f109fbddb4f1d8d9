"""What could stand in a text's stead: each place's likeliest other words, swaps, a word less or more.

A change e of the embedding at a place moves the gradient by about J e, and |J e|² against the noise says how
well it can be told. R random projections of the gradient have slopes s_r at the place with
mean (s_r . e)² = |J e|², so all words of the vocabulary are compared with one product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.likelihood.options import MarginOptions
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import Neighbour, reordered


class Competitors:
    """Finds the most dangerous changes of single sequences.

    Args:
        model: the public model.
        options: how many are looked at.
    """

    def __init__(self, model: TextModel, options: MarginOptions) -> None:
        self._model, self._options = model, options
        tokenizer = model.tokenizer
        self._table = model.word_table.detach()[: len(tokenizer)]
        self._squares = self._table.square().sum(1)
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self._special = torch.tensor(sorted(special))

    def of(self, own: TokenBatch, probes: Tensor, row: int = 0) -> list[Neighbour]:
        """The competitors of one sequence.

        Args:
            own: the sequence, alone.
            probes: (R, T, H) slopes of random projections of its gradient.
            row: which sequence of the batch it is.
        """
        found: list[Neighbour] = []
        for places, what, batch in self._all(own, probes):
            found.append(Neighbour(row, self._model.task.relabelled(batch), places, what))
        return found

    def places(self, own: TokenBatch) -> list[int]:
        """The places of a sequence's words."""
        ids = self._model.task.filled(own)[0]
        return (~torch.isin(torch.tensor(ids), self._special)).nonzero().flatten().tolist()

    def _all(
        self, own: TokenBatch, probes: Tensor
    ) -> Iterator[tuple[tuple[int, ...], str, TokenBatch]]:
        hidden = self._hidden(own)
        shown = [place for place in self.places(own) if place not in hidden]
        for place in self.places(own):
            if place in hidden:
                for word in self._nearest(int(own.labels[0, place]), self._options.nearest):
                    yield (
                        (place,),
                        "another word under the mask",
                        self._with(own, {}, {place: word}),
                    )
            else:
                for word in self._words(int(own.input_ids[0, place]), probes[:, place]):
                    yield (place,), "another word", self._with(own, {place: word})
        yield from self._swaps(own, probes, shown)
        yield from self._lengths(own, probes, shown)

    def _hidden(self, own: TokenBatch) -> set[int]:
        """The places at which a label is the word of the text."""
        if self._model.task.bears != "places":
            return set()
        return set((own.labels[0] != IGNORED).nonzero().flatten().tolist())

    def _words(self, word: int, slopes: Tensor) -> list[int]:
        """The words that a place's is told from worst, given (R, H) slopes."""
        along = self._table @ slopes.T  # (V, R)
        moved = (along - along[word]).square().mean(1).cpu()
        moved[word], moved[self._special] = torch.inf, torch.inf
        by_slope = moved.topk(min(self._options.slopes, len(moved)), largest=False).indices.tolist()
        return list(dict.fromkeys([*self._nearest(word, self._options.nearest), *by_slope]))

    def _nearest(self, word: int, count: int) -> list[int]:
        """The nearest other words by embedding."""
        distances = (self._squares - 2 * self._table @ self._table[word]).cpu()
        distances[word], distances[self._special] = torch.inf, torch.inf
        nearest: list[int] = distances.topk(
            min(count, len(distances)), largest=False
        ).indices.tolist()
        return nearest

    def _swaps(
        self, own: TokenBatch, probes: Tensor, shown: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], str, TokenBatch]]:
        ids = own.input_ids[0].tolist()
        moved: list[tuple[float, int, int]] = []
        for one, other in combinations(shown, 2):
            if ids[one] != ids[other]:
                step = self._table[ids[other]] - self._table[ids[one]]
                change = (probes[:, one] - probes[:, other]) @ step
                moved.append((float(change.square().sum()), one, other))
        for _, one, other in sorted(moved)[: self._options.swaps]:
            words = {one: ids[other], other: ids[one]}
            yield (one, other), "swapped words", self._with(own, words)

    def _lengths(
        self, own: TokenBatch, probes: Tensor, shown: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], str, TokenBatch]]:
        length = own.lengths[0]
        light = sorted(shown, key=lambda place: float(probes[:, place].square().sum()))
        for at in light[: self._options.lengths]:
            order = [*range(at), *range(at + 1, length)]
            yield (at,), "a word less", reordered(own, 0, order)
            if length < self._model.max_length:
                yield (at,), "a word more", reordered(own, 0, [*range(at + 1), *range(at, length)])

    def _with(
        self, own: TokenBatch, words: dict[int, int], labels: dict[int, int] | None = None
    ) -> TokenBatch:
        ids, targets = own.input_ids.clone(), own.labels.clone()
        for place, word in words.items():
            ids[0, place] = word
        for place, word in (labels or {}).items():
            targets[0, place] = word
        return replace(own, input_ids=ids, labels=targets)
