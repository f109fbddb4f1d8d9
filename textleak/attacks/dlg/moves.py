"""Small changes to a discrete batch: another word, two words swapped, a label at another place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from textleak.attacks.matching.facts import Place
from textleak.core.batch import IGNORED, TokenBatch


@dataclass(frozen=True)
class Move:
    """New words and labels at a few places.

    Attributes:
        words: (place, word id) pairs.
        labels: (place, label) pairs; IGNORED takes the label away.
    """

    words: tuple[tuple[Place, int], ...] = ()
    labels: tuple[tuple[Place, float], ...] = ()

    @property
    def touched(self) -> set[tuple[str, Place]]:
        """What the move changes; moves that touch nothing in common can be made together."""
        return {("word", at) for at, _ in self.words} | {("label", at) for at, _ in self.labels}

    def apply(self, batch: TokenBatch) -> TokenBatch:
        """The batch after the move; `batch` stays as it is."""
        ids, labels = batch.input_ids.clone(), batch.labels.clone()
        for at, word in self.words:
            ids[at] = word
        for at, label in self.labels:
            labels[at] = label
        return TokenBatch(ids, batch.attention_mask, labels)


def word_moves(batch: TokenBatch, lists: dict[Place, list[int]]) -> Iterator[Move]:
    """Every listed word at its place, unless it stands there already."""
    for at, words in lists.items():
        current = int(batch.input_ids[at])
        yield from (Move(words=((at, word),)) for word in words if word != current)


def swap_moves(batch: TokenBatch, places: Sequence[Place]) -> Iterator[Move]:
    """Every two different words of a sequence with their places exchanged."""
    for one, other in combinations(places, 2):
        first, second = int(batch.input_ids[one]), int(batch.input_ids[other])
        if one[0] == other[0] and first != second:
            yield Move(words=((one, second), (other, first)))


def block_moves(batch: TokenBatch, places: Sequence[Place], most: int) -> list[Move]:
    """Two neighbouring runs of a sequence's words exchanged, labels of tokens with them.

    Whole sequences turned round come first: where places are relative, a sentence that is right but for
    where it begins differs from the truth in every word, and is better than its neighbours. The others
    are drawn.

    Args:
        batch: what is changed.
        places: the free places.
        most: moves at most.
    """
    rows = [[at for at in places if at[0] == row] for row in range(len(batch.input_ids))]
    turns = [row[at:] + row[:at] for row in rows for at in range(1, len(row))]
    moves = [_moved(batch, sorted(turned), turned) for turned in turns]
    for row in rows:
        drawn = torch.randint(len(row) + 1, (most, 3)).sort(dim=1).values.unique(dim=0)  # type: ignore[no-untyped-call]
        for first, at, last in drawn[torch.randperm(len(drawn))].tolist():
            if first < at < last and last - first < len(row):
                moves.append(_moved(batch, row[first:last], row[at:last] + row[first:at]))
    order = torch.randperm(max(len(moves) - len(turns), 0)) + len(turns)
    return [*moves[: len(turns)], *(moves[i] for i in order.tolist())][:most]


def _moved(batch: TokenBatch, to: Sequence[Place], origins: Sequence[Place]) -> Move:
    pairs = list(zip(to, origins, strict=True))
    words = tuple((at, int(batch.input_ids[origin])) for at, origin in pairs)
    labels = tuple((at, int(batch.labels[origin])) for at, origin in pairs if batch.by_token)
    return Move(words, labels)


def label_moves(batch: TokenBatch, likely: Sequence[Place]) -> Iterator[Move]:
    """Every masked-LM label at each likely place instead, and every two labels exchanged."""
    bearing = [(int(row), int(at)) for row, at in (batch.labels != IGNORED).nonzero()]
    for place in bearing:
        label = int(batch.labels[place])
        for target in likely:
            if target not in bearing:
                yield Move(labels=((place, IGNORED), (target, label)))
    for one, other in combinations(bearing, 2):
        first, second = int(batch.labels[one]), int(batch.labels[other])
        if first != second:
            yield Move(labels=((one, second), (other, first)))


def class_moves(batch: TokenBatch, classes: int) -> Iterator[Move]:
    """Every other class for every sequence, and every two different classes exchanged."""
    labels = batch.labels.tolist()
    for row, current in enumerate(labels):
        for label in range(classes):
            if label != current:
                yield Move(labels=(((row,), label),))
    for one, other in combinations(range(len(labels)), 2):
        if labels[one] != labels[other]:
            yield Move(labels=(((one,), labels[other]), ((other,), labels[one])))


def compatible(moves: Sequence[Move]) -> list[Move]:
    """The moves, best first, that touch nothing which a better one touches."""
    taken: set[tuple[str, Place]] = set()
    chosen = []
    for move in moves:
        if not move.touched & taken:
            taken |= move.touched
            chosen.append(move)
    return chosen


def apply_all(moves: Sequence[Move], batch: TokenBatch) -> TokenBatch:
    """The batch after all moves."""
    for move in moves:
        batch = move.apply(batch)
    return batch
