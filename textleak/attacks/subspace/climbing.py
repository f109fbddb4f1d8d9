"""Sentences climbed to, word by word: which words may stand where is known, what fits all layers is sought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from statistics import median
from typing import Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import Count
from textleak.core.budget import checkpoint
from textleak.core.randomness import Stream

Row = tuple[int, ...]


class Fit(Protocol):
    """How sentences fit an update."""

    def misfits(self, rows: Sequence[Row]) -> list[float]:
        """How little each does."""

    def slopes(self, row: Row) -> Tensor:
        """How a sentence's misfit changes with the word embedding at each place; (T, E)."""


class ClimbOptions(BaseModel):
    """How hard to try.

    Attributes:
        starts: climbs for each pair that no sentence explains yet, each from another start.
        sweeps: of one climb at most; it ends where no change helps.
        fillings: ways to lengthen a sentence to each of its possible ends.
        failures: climbs in a row that may lead to what was found before.
        better: of the way from chance to the best sentence's fit, how much a sentence's must go.
        screened: other words that are looked at in full, of those that the slope makes likely; all of
            them where none of these helps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    starts: Count = 2
    sweeps: Count = 40
    fillings: Count = 12
    failures: Count = 6
    better: float = Field(default=0.25, ge=0, le=1)
    screened: Count = 32


@dataclass(frozen=True)
class Board:
    """What may stand where.

    Attributes:
        words: of each place between the frame's, likeliest first.
        ends: places at which a sentence may end, rising.
        first: the id that opens a sentence.
        last: the id that ends one.
        sure: (place, word) that surely occur.
    """

    words: dict[int, list[int]]
    ends: list[int]
    first: int
    last: int
    sure: frozenset[tuple[int, int]]

    def pairs(self, row: Row) -> set[tuple[int, int]]:
        """The (place, word) of a sentence, without its frame."""
        return set(enumerate(row[1:-1], 1))

    def substitutes(self, row: Row) -> Iterator[Row]:
        """The sentence with another word at one place."""
        for at in range(1, len(row) - 1):
            for word in self.words.get(at, ()):
                if word != row[at]:
                    yield (*row[:at], word, *row[at + 1 :])

    def lengths(self, row: Row, most: int) -> Iterator[Row]:
        """The sentence cut or lengthened to each other end, its last word another: a full stop, say."""
        for end in self.ends:
            if end != len(row) - 1 and end > 1:
                kept = min(end, len(row) - 1) - 1
                more = [self.words.get(at, []) for at in range(kept, end)]
                if len(more) == 1:
                    more[0] = list(dict.fromkeys([row[kept], *more[0]]))
                for words in islice(product(*more), most):
                    yield (*row[:kept], *words, self.last)


@dataclass
class Climber:
    """Looks for the sentences of a board.

    Args:
        board: what may stand where.
        fit: how sentences fit the update.
        table: (V, E) word embeddings.
        draws: what starts are drawn from.
        options: how hard to try.
        found: sentences with their misfits.
        evaluations: sentences that were looked at.
        started: the misfits of the starts, which are what chance gives.
        doubtful: sentences that hold a sure pair, but are climbed away from once it is not held.
    """

    board: Board
    fit: Fit
    table: Tensor
    draws: Stream
    options: ClimbOptions = field(default_factory=ClimbOptions)
    found: dict[Row, float] = field(default_factory=dict)
    evaluations: int = 0
    doubtful: dict[Row, float] = field(default_factory=dict)
    started: list[float] = field(default_factory=list)

    def run(self, report: Callable[[], None], size: int | None = None) -> dict[Row, float]:
        """Climb from every sure pair that no found sentence has; the sentences, best first.

        Args:
            report: called with every new sentence.
            size: how many there are, where that is known.
        """
        tried: set[tuple[int, int]] = set()
        failures = 0
        while failures < self.options.failures:
            seed = self._seed(tried)
            if seed is None:
                if size is None or len(self.found) >= size:
                    break
                seed = self._any()
            tried.add(seed)
            failures += 1
            row, misfit = self._through(seed)
            if row not in self.found:
                self.found[row], failures = misfit, 0
                report()
        for row in sorted(self.doubtful, key=self.doubtful.__getitem__):
            if size is not None and len(self.found) < size:
                self.found[row] = self.doubtful[row]
        self._cross()
        return self._needed(size)

    def _cross(self) -> None:
        """Let a found sentence go on as another does, where that fits better: tails climb worst."""
        for row in sorted(self.found, key=self.found.__getitem__, reverse=True):
            others = [other for other in self.found if other != row]
            children = {(*row[:at], *other[at:]) for other in others for at in range(2, len(row))}
            fresh = [child for child in children if child not in self.found and len(child) > 2]
            values = self._misfits(fresh)
            least = min(range(len(fresh)), key=values.__getitem__, default=0)
            if fresh and values[least] < self.found[row]:
                better, misfit = self.climb(fresh[least])
                if better not in self.found:
                    del self.found[row]
                    self.found[better] = misfit

    def _needed(self, size: int | None) -> dict[Row, float]:
        """The found sentences, best first, without those all of whose sure pairs others have.

        Where their number is not known, those that fit little better than chance are none either.
        """
        order = sorted(self.found, key=self.found.__getitem__)
        if size is None and order:
            chance = median(self.started)
            limit = chance + self.options.better * (self.found[order[0]] - chance)
            order = [row for row in order if self.found[row] <= limit]
        for row in reversed(list(order)):
            others = {pair for other in order if other != row for pair in self.board.pairs(other)}
            spare = self.board.pairs(row) & self.board.sure <= others
            if spare and (size is None or len(order) > size):
                order.remove(row)
        return {row: self.found[row] for row in order[:size]}

    def _through(self, seed: tuple[int, int]) -> tuple[Row, float]:
        """A sentence climbed to with a pair held, then without: one that is there has it on its own.

        Without holding it all climbs would lead to the sentences that the update shows most clearly.
        """
        held = (self.climb(self._start(seed), seed) for _ in range(self.options.starts))
        row, misfit = min(held, key=lambda one: one[1])
        found = self.climb(row)
        if found[0] in self.found and row not in self.found:
            self.doubtful[row] = misfit
        return found

    def climb(self, row: Row, held: tuple[int, int] | None = None) -> tuple[Row, float]:
        """From a sentence to one that no single change betters, and its misfit.

        Args:
            row: where to start.
            held: a (place, word) of it that stays.
        """
        (value,) = self._misfits([row])
        if held is not None:
            self.started.append(value)
        for _ in range(self.options.sweeps):
            checkpoint()
            moves = [m for m in self.board.substitutes(row) if not held or m[held[0]] == held[1]]
            few = self._likely(row, moves)
            best = self._best_words(row, few, value)
            if not best and len(few) < len(moves):
                best = self._best_words(row, moves, value)
            trials = [_with(row, best[:count]) for count in _halves(len(best))]
            least_length = 1 if held is None else held[0] + 2
            others = self.board.lengths(row, self.options.fillings)
            trials += [other for other in others if len(other) >= least_length]
            values = self._misfits(trials)
            least = min(range(len(trials)), key=values.__getitem__, default=0)
            if not trials or values[least] >= value:
                break
            row, value = trials[least], values[least]
        return row, value

    def _likely(self, row: Row, moves: list[Row]) -> list[Row]:
        """The substitutes that the slope at the sentence makes likeliest, if there are many."""
        if len(moves) <= self.options.screened:
            return moves
        slopes = self.fit.slopes(row)  # (T, E)
        self.evaluations += 1
        places = torch.tensor([_differs(row, move) for move in moves])
        to = torch.tensor([move[at] for move, at in zip(moves, places.tolist(), strict=True)])
        change = self.table[to] - self.table[torch.tensor(row)[places]]
        order = (change * slopes[places]).sum(1).argsort()
        return [moves[i] for i in order[: self.options.screened].tolist()]

    def _best_words(self, row: Row, moves: list[Row], value: float) -> list[tuple[int, int]]:
        """The best other word of each place where one helps, those first that help most."""
        best: dict[int, tuple[float, int]] = {}
        for move, misfit in zip(moves, self._misfits(moves), strict=True):
            at = _differs(row, move)
            if misfit < best.get(at, (value, 0))[0]:
                best[at] = (misfit, move[at])
        return [(at, best[at][1]) for at in sorted(best, key=lambda at: best[at][0])]

    def _misfits(self, rows: Sequence[Row]) -> list[float]:
        self.evaluations += len(rows)
        return self.fit.misfits(rows)

    def _seed(self, tried: set[tuple[int, int]]) -> tuple[int, int] | None:
        """A sure pair that no sentence explains, far into its sentence: few reach so far."""
        open_pairs = self.board.sure - tried - self._covered()
        return max(open_pairs, default=None)

    def _any(self) -> tuple[int, int]:
        pairs = sorted(self.board.sure)
        return pairs[int(self.draws.below(len(pairs), 1))]

    def _covered(self) -> set[tuple[int, int]]:
        return {pair for row in self.found for pair in self.board.pairs(row)}

    def _start(self, seed: tuple[int, int]) -> Row:
        """A sentence through `seed`, of words that no found sentence has where there are such."""
        ends = [end for end in self.board.ends if end > seed[0]] or self.board.ends[-1:]
        end = ends[int(self.draws.below(len(ends), 1))]
        covered, row = self._covered(), [self.board.first]
        for at in range(1, end):
            every = self.board.words.get(at, [])
            fresh = [word for word in every if (at, word) not in covered] or every
            row.append(seed[1] if at == seed[0] else fresh[int(self.draws.below(len(fresh), 1))])
        return (*row, self.board.last)


def _differs(row: Row, move: Row) -> int:
    return next(i for i, (old, new) in enumerate(zip(row, move, strict=True)) if old != new)


def _with(row: Row, words: Sequence[tuple[int, int]]) -> Row:
    changed = list(row)
    for at, word in words:
        changed[at] = word
    return tuple(changed)


def _halves(count: int) -> list[int]:
    """How many changes to make together: all, half of them, and so on, one at last."""
    found = []
    while count:
        found.append(count)
        count //= 2
    return found
