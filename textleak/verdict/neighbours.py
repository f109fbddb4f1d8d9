"""Batches one step from a recovered one: what a verdict must be able to tell it from.

The most dangerous are tried, by a first-order estimate: a change e of the embedding at a place moves the
loss by d . e with d its slope there, and the gradients in proportion. A replaced word's e is the
difference of two rows of the word table, so each place's nearest word is looked for among all of them,
[UNK] and [PAD] included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class Neighbour:
    """A sequence that could stand in a recovered one's stead.

    Attributes:
        row: which sequence it stands for.
        batch: itself, alone.
        places: where it differs.
        what: the difference in words.
    """

    row: int
    batch: TokenBatch
    places: tuple[int, ...]
    what: str


class Neighbourhood:
    """Every recovered sequence's nearest words and what a change at a place weighs.

    Args:
        model: the public model.
        batch: the recovered batch.
        slopes: (B, T, H) the loss's gradient at its word embeddings.
    """

    def __init__(self, model: TextModel, batch: TokenBatch, slopes: Tensor) -> None:
        self._model, self._batch = model, batch
        self._table = model.word_table.detach()
        self._weight = slopes.norm(dim=2).cpu()  # (B, T)
        frame = {model.tokenizer.cls_token_id, model.tokenizer.sep_token_id}
        frame = frame if model.feed.framed else set()
        frame |= {model.tokenizer.pad_token_id}
        fixed = torch.tensor(sorted(int(i) for i in frame if i is not None))
        self._barred = torch.cat([fixed[fixed != model.tokenizer.pad_token_id]])
        if model.tokenizer.mask_token_id is not None:
            mask = torch.tensor([int(model.tokenizer.mask_token_id)])
            fixed, self._barred = torch.cat([fixed, mask]), torch.cat([self._barred, mask])
        self.free = ~torch.isin(batch.input_ids, fixed) & batch.attention_mask.bool()  # (B, T)
        wanted = batch.input_ids[self.free]
        if batch.by_token and model.task.words:
            wanted = torch.cat([wanted, batch.labels[batch.labels != IGNORED]])
        self._nearest = self._nearest_words(wanted)

    def words(self, row: int) -> list[Neighbour]:
        """The nearest word at each place of a sequence, the most dangerous first."""
        found = []
        for place in self.free[row].nonzero().flatten().tolist():
            word = int(self._batch.input_ids[row, place])
            other, step = self._nearest[word]
            danger = step * float(self._weight[row, place])
            changed = self._with_words(row, {place: other})
            found.append((danger, Neighbour(row, changed, (place,), "another word")))
        return [one for _, one in sorted(found, key=lambda pair: pair[0])]

    def others(self, row: int) -> list[Neighbour]:
        """A swap, a word less, a word more, another label: the most dangerous of each."""
        found = [self._swap(row), self._label(row), *self._lengths(row)]
        return [one for one in found if one is not None]

    def _swap(self, row: int) -> Neighbour | None:
        free, ids = self.free[row], self._batch.input_ids[row]
        best: tuple[float, int] | None = None
        for place in range(len(ids) - 1):
            if bool(free[place] & free[place + 1]) and ids[place] != ids[place + 1]:
                step = float((self._table[ids[place]] - self._table[ids[place + 1]]).norm())
                danger = step * float(self._weight[row, place : place + 2].sum())
                best = min(best or (danger, place), (danger, place))
        if best is None:
            return None
        at = best[1]
        changed = self._with_words(row, {at: int(ids[at + 1]), at + 1: int(ids[at])})
        return Neighbour(row, changed, (at, at + 1), "swapped words")

    def _label(self, row: int) -> Neighbour | None:
        batch, task = self._batch.take([row]), self._model.task
        if task.bears != "places":
            other = task.other(self._model, batch.labels, len(self._batch.labels) == 1)
            if other is None:
                return None
            return Neighbour(row, replace(batch, labels=other), (), "another class")
        labels = batch.labels.clone()
        bearing = (labels[0] != IGNORED).nonzero().flatten().tolist()
        if not bearing:
            return None
        at = min(bearing, key=lambda place: self._nearest[int(labels[0, place])][1])
        labels[0, at] = self._nearest[int(labels[0, at])][0]
        return Neighbour(row, replace(batch, labels=labels), (at,), "another word under the mask")

    def _lengths(self, row: int) -> list[Neighbour]:
        batch = self._batch
        length = batch.lengths[row]
        bearing = batch.labels[row] != IGNORED if batch.by_token else None
        free = self.free[row] if bearing is None else self.free[row] & ~bearing
        places = free.nonzero().flatten()
        if not len(places):
            return []
        at = int(places[self._weight[row, places].argmin()])
        order = list(range(length))
        changes = [([*order[:at], *order[at + 1 :]], "a word less")]
        if length < self._model.max_length:
            changes.append(([*order[: at + 1], at, *order[at + 1 :]], "a word more"))
        return [
            Neighbour(row, self._model.task.relabelled(reordered(batch, row, kept)), (at,), what)
            for kept, what in changes
        ]

    def _with_words(self, row: int, words: dict[int, int]) -> TokenBatch:
        batch = self._batch.take([row])
        ids = batch.input_ids.clone()
        for place, word in words.items():
            ids[0, place] = word
        return self._model.task.relabelled(replace(batch, input_ids=ids))

    def _nearest_words(self, ids: Tensor) -> dict[int, tuple[int, float]]:
        """For each word the nearest other one and its distance."""
        table = self._table[: len(self._model.tokenizer)]
        squares = table.square().sum(1)
        found: dict[int, tuple[int, float]] = {}
        for words in ids.unique().split(256):  # type: ignore[no-untyped-call]
            own = table[words]
            distances = squares - 2 * own @ table.T + squares[words][:, None]  # (n, V)
            distances[:, self._barred] = torch.inf
            distances[torch.arange(len(words)), words] = torch.inf
            nearest = distances.argmin(1)
            steps = (table[nearest] - own).norm(dim=1)
            for word, other, step in zip(
                words.tolist(), nearest.tolist(), steps.tolist(), strict=True
            ):
                found[word] = (other, step)
        return found


def reordered(batch: TokenBatch, row: int, order: Sequence[int]) -> TokenBatch:
    """One sequence with its places taken in another order."""
    ids = batch.input_ids[row, list(order)][None]
    labels = batch.labels[row : row + 1]
    if batch.by_token:
        labels = batch.labels[row, list(order)][None].clone()
    return TokenBatch(ids, torch.ones_like(ids), labels)


def stacked(batches: Sequence[TokenBatch], pad: int) -> TokenBatch:
    """Single sequences as one batch, padded to the longest."""
    width = max(batch.input_ids.shape[1] for batch in batches)

    def wide(values: Tensor, filling: int) -> Tensor:
        if values.dim() == 1 or values.is_floating_point():
            return values
        return torch.nn.functional.pad(values, (0, width - values.shape[1]), value=filling)

    return TokenBatch(
        torch.cat([wide(batch.input_ids, pad) for batch in batches]),
        torch.cat([wide(batch.attention_mask, 0) for batch in batches]),
        torch.cat([wide(batch.labels, IGNORED) for batch in batches]),
    )


def replaced(batch: TokenBatch, neighbour: Neighbour, pad: int) -> TokenBatch:
    """The whole batch with a neighbour in its sequence's stead."""
    rows = [batch.take([row]) for row in range(len(batch.input_ids))]
    rows[neighbour.row] = neighbour.batch
    return stacked(rows, pad)
