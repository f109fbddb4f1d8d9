"""Which word stood at which place, from the gradients of the embedding tables alone.

Write d(v, t) for the gradient at the sum of embeddings of word v at place t, summed over the sentences
that have it there. Row v of the word table's gradient is the sum of d(v, t) over the places of v, row
t of the position table's the sum over the words at t. The LayerNorm behind the sum leaves no gradient
along its own normalised output n(v, t): d(v, t) . n(v, t) = 0. A word that stands at one place only
has its row equal to that one d, so the row is orthogonal to n(v, t) for the true t and for no other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from textleak.core.budget import checkpoint
from textleak.evidence.first_layer import FirstLayer

_CLEAR = 4.0  # the least ratio between two clusters of cosines that are told apart


@dataclass
class Placement:
    """What is settled of the words' places, and what is left open.

    Attributes:
        settled: (word index, place) to its d(v, t), (H,).
        open_words: indices of words with a remainder that is not accounted for.
        open_places: places with a remainder that is not accounted for; None if not known.
    """

    settled: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    open_words: list[int] = field(default_factory=list)
    open_places: list[int] | None = None


def alignment(deltas: Tensor, normals: Tensor) -> Tensor:
    """|cosine| of each word's gradient (W, H) with its normalised embedding at each place (W, T, H); (W, T)."""
    dots = torch.einsum("wh,wth->wt", deltas, normals).abs()
    scale = deltas.norm(dim=1)[:, None] * normals.norm(dim=2)
    cosines: Tensor = dots / scale.clamp_min(1e-300)
    return cosines


@dataclass(frozen=True)
class Orthogonality:
    """Below which cosine a place is a word's.

    Attributes:
        gap: a cosine between rounding and chance; 0 if the two are not told apart.
        chance: how many cosines of wrong places fall below x, for each trial, over x.
        expected: of how many wrong places in all of one search's trials to fall below the limit.
    """

    gap: float
    chance: float = 0.0
    expected: float = 1e-3

    def limit(self, trials: int, widened: float = 1.0) -> float:
        """The limit for one search: the more is tried, the nearer chance comes to orthogonal.

        Args:
            trials: how many pairs of a word and a place are tried.
            widened: how much more rounding there is in a remainder than in the rows.
        """
        rounding = self.gap * max(widened, 1.0)
        return min(rounding, self.expected / max(self.chance * trials, 1e-300))


def orthogonality(cosines: Tensor) -> Orthogonality:
    """The cosine below which a place is a word's only one.

    The second-best place of a word is surely wrong: these say how small a cosine gets by chance. The
    best ones fall in two clusters, rounding and chance; the threshold is in the widest gap between.

    Args:
        cosines: (W, T) from `alignment`, T at least 2; no word settles anything.
    """
    if not len(cosines):
        return Orthogonality(0.0)
    lowest = cosines.topk(2, dim=1, largest=False).values
    # A cosine may be nearly zero by luck: what lies below the low tenth is no gap.
    floor = max(float(lowest[:, 0].quantile(0.1)), 1e-9)
    values = torch.cat([lowest[:, 0], lowest[:, 1]]).clamp_min(floor).sort().values
    chance = float(lowest[:, 1].median())
    below = values[values <= chance].log()
    if len(below) < 2:
        return Orthogonality(0.0)
    steps = below[1:] - below[:-1]
    at = int(steps.argmax())
    if float(steps[at]) < torch.tensor(_CLEAR).log():
        return Orthogonality(0.0)
    # Half of the words have a wrong place below `chance`, each of T - 1 places alike.
    rate = math.log(2) / (max(cosines.shape[1] - 1, 1) * chance)
    return Orthogonality(float((0.5 * (below[at] + below[at + 1])).exp()), rate)


def place_words(
    layer: FirstLayer,
    ids: Tensor,
    deltas: Tensor,
    at_places: Tensor | None,
    places: int,
    alternatives: Mapping[int, Tensor] | None = None,
) -> Placement:
    """Settle the places of words, first those that stand at one place, then by elimination.

    What is settled is taken off the position rows. A place with one open word left shows that word's
    d(v, t) itself, which the same orthogonality proves; taking it off the word's row may in turn leave
    that word with one place.

    Args:
        layer: the public first layer.
        ids: (W,) the words of the batch.
        deltas: (W, H) their rows of the word table's gradient.
        at_places: (T, H) rows of the position table's gradient; None if not shared.
        places: how many places T the batch uses.
        alternatives: word indices whose row is one of several (A, H), or unknown (0, H).
    """
    variants = layer.variants(range(places))
    normals = _Normals(layer, ids, variants)
    unsure = dict(alternatives or {})
    rows = [alignment(row[None], normals.of_word(w)[None]) for w, row in enumerate(deltas)]
    cosines = torch.cat([deltas.new_zeros(0, len(variants)), *rows])
    sure = [word for word in range(len(ids)) if word not in unsure]
    bound = orthogonality(cosines[sure])
    state = _Elimination(normals, deltas.clone(), at_places, bound, set(unsure))
    limit = bound.limit(cosines[sure].numel())
    for word in sure:
        place = int(cosines[word].argmin())
        if float(cosines[word, place]) < limit:
            state.settle(word, variants[place], state.words[word].clone())
    for word, versions in unsure.items():
        if len(versions):
            trial = alignment(versions, normals.of_word(word).expand(len(versions), -1, -1))
            row, place = divmod(int(trial.argmin()), len(variants))
            if float(trial.min()) < bound.limit(trial.numel() * len(unsure)):
                state.know(word, versions[row])
                state.settle(word, variants[place], versions[row].clone())
    state.run()
    return state.placement()


@dataclass(frozen=True)
class _Normals:
    """The normalised embeddings n(v, t), made as they are needed: words times places are many.

    Attributes:
        layer: the public first layer.
        ids: (W,) the words of the batch.
        places: the places that there are.
    """

    layer: FirstLayer
    ids: Tensor
    places: list[int]

    def of_word(self, word: int) -> Tensor:
        """One word at every place; (T, H)."""
        return self.at([word] * len(self.places), self.places)

    def at(self, words: list[int], places: list[int]) -> Tensor:
        """Words, by index, at places; (n, H)."""
        return self.layer.normalised(self.ids[words], torch.tensor(places))


class _Elimination:
    """Takes settled gradients off word and position rows until nothing more follows."""

    def __init__(
        self,
        normals: _Normals,
        words: Tensor,
        places: Tensor | None,
        bound: Orthogonality,
        unsure: set[int],
    ) -> None:
        self.unsure = unsure
        self.normals = normals
        self.words = words
        self.places = None if places is None else places.double().clone()
        self.word_scale = words.norm(dim=1)
        self.place_scale = None if self.places is None else self.places.norm(dim=1)
        self.bound = bound
        self.settled: dict[tuple[int, int], Tensor] = {}

    def settle(self, word: int, place: int, delta: Tensor) -> None:
        """Fix word at place and take its gradient off both rows."""
        self.settled[(word, place)] = delta
        place %= self.normals.layer.count
        self.words[word] -= delta
        if self.places is not None and self.place_scale is not None:
            self.places[place] -= delta
            self.place_scale[place] = max(float(self.place_scale[place]), float(delta.norm()))

    def know(self, word: int, delta: Tensor) -> None:
        """The row of an unsure word turned out to be `delta`."""
        self.unsure.discard(word)
        self.words[word] = delta
        self.word_scale[word] = delta.norm()

    def open_words(self) -> Tensor:
        """Words whose row is not used up."""
        left = self.words.norm(dim=1) / self.word_scale.clamp_min(1e-300)
        left[list(self.unsure)] = 1.0
        used: Tensor = left > self._rounding
        return used.nonzero().flatten()

    def open_places(self) -> Tensor:
        """Places whose row is not used up."""
        assert self.places is not None
        assert self.place_scale is not None
        left = self.places.norm(dim=1) / self.place_scale.clamp_min(1e-300)
        used: Tensor = left > self._rounding
        return used.nonzero().flatten()

    @property
    def _rounding(self) -> float:
        # Sums of fp32 gradients agree to about the square root of what single cosines do not reach.
        return float(max(self.bound.gap, 1e-7) ** 0.75)

    def run(self) -> None:
        """Eliminate until a round settles nothing."""
        if self.places is None or self.bound.gap == 0:
            return
        while self._by_place() or self._by_word():
            pass

    def _by_place(self) -> bool:
        """Settle every open place that one open word explains; whether any was."""
        before = len(self.settled)
        open_places = self.open_places().tolist()
        for place in open_places:
            checkpoint()
            words, both = self.open_words().tolist(), self.normals.layer.variants([place])
            free = [(word, at) for word in words for at in both if (word, at) not in self.settled]
            if not free:
                continue
            rest = self.places[place]  # type: ignore[index]
            near = self.normals.at([word for word, _ in free], [at for _, at in free])
            cosines = alignment(rest[None], near[None])[0]
            best = int(cosines.argmin())
            widened = float(self.place_scale[place] / rest.norm().clamp_min(1e-300))  # type: ignore[index]
            if float(cosines[best]) < self.bound.limit(len(free) * len(open_places), widened):
                self.settle(*free[best], rest.clone())
        return len(self.settled) > before

    def _by_word(self) -> bool:
        """Settle every open word that one open place explains; whether any was."""
        before = len(self.settled)
        open_words = self.open_words().tolist()
        for word in open_words:
            places = self.normals.layer.variants(self.open_places().tolist())
            if word in self.unsure or not places:
                continue
            rest = self.words[word]
            cosines = alignment(
                rest[None], self.normals.at([word] * len(places), places)[None]
            ).flatten()
            best = int(cosines.argmin())
            place = places[best]
            if (word, place) in self.settled:
                continue
            widened = float(self.word_scale[word] / rest.norm().clamp_min(1e-300))
            if float(cosines[best]) < self.bound.limit(len(places) * len(open_words), widened):
                self.settle(word, place, rest.clone())
        return len(self.settled) > before

    def placement(self) -> Placement:
        """What came of it."""
        at = None if self.places is None else self.open_places().tolist()
        if self.bound.gap == 0 and self.places is not None:
            at = list(range(len(self.places)))
        return Placement(self.settled, self.open_words().tolist(), at)
