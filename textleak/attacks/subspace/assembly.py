"""Put a batch's sentences together: complete one from each pair that no sentence explains yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from textleak.attacks.subspace.completion import Completion, complete, heaviest_chain
from textleak.attacks.subspace.pairs import Array, Pairs
from textleak.core.budget import checkpoint
from textleak.evidence.neighbours import Neighbours

_MARGIN = 10.0  # a sentence is proven when every change of one word is this many times worse
_NOISY_MARGIN = 3.0  # the same under noise, where only the gradient's check has the last word

_CLEAR_WEIGHT = 0.8  # the membership above which a word is meant rather than mixed in


@dataclass
class Assembly:
    """The sentences so far.

    Attributes:
        proven: sentences as tuples of pair indices, each certain by its contexts.
        attempted: by the pair it was made for, what the last attempt at it gave.
        evaluations: sentences put through layer 0, and steps of the completion.
    """

    proven: list[tuple[int, ...]] = field(default_factory=list)
    attempted: dict[int, Completion] = field(default_factory=dict)
    evaluations: int = 0

    def covered(self, pairs: Pairs) -> np.ndarray:
        """Which pairs a proven sentence uses; (E,)."""
        mask = np.zeros(len(pairs), dtype=bool)
        for chosen in self.proven:
            mask[list(chosen)] = True
        return mask


def is_proven(pairs: Pairs, chosen: tuple[int, ...], among: int = 64) -> bool:
    """Whether a sentence's contexts lie in the span, and those of sentences one word away do not.

    The margin is taken from the neighbours themselves, so it needs no threshold for a model or for
    the precision of the update.
    """
    ids = torch.tensor(pairs.sentence(chosen))
    sentence = Neighbours(pairs.layer, ids)
    own = float(pairs.span.residual(sentence.contexts).max())
    margin = _NOISY_MARGIN if pairs.span.noisy else _MARGIN
    if own * margin >= 1:
        return False  # no residual exceeds 1
    places, words = _one_word_away(pairs, ids.tolist(), among)
    if not places:
        return own < 1e-3
    near = sentence.residuals(pairs.span, torch.tensor(places), torch.tensor(words))
    # A twin one word away may be in the batch as well: then both residuals are at rounding level.
    return own * margin < float(near.median()) and own < float(near.min()) * margin


def _one_word_away(pairs: Pairs, ids: list[int], among: int) -> tuple[list[int], list[int]]:
    """Places, and what else may stand there: about `among` in all, and one at every place at least."""
    rng = np.random.default_rng(0)
    inner = range(1, len(ids) - 1)
    places: list[int] = []
    words: list[int] = []
    for t in inner:
        others = [e for e in np.flatnonzero(pairs.places == t) if pairs.words[e] != ids[t]]
        others = rng.permutation(others)[: max(1, among // max(len(inner), 1))].tolist()
        drawn = [int(pairs.words[e]) for e in others] or [int(rng.choice(pairs.words))]
        drawn = [word for word in drawn if word != ids[t]]
        places += [t] * len(drawn)
        words += drawn
    return places, words


def only_sentence(pairs: Pairs) -> tuple[int, ...]:
    """The one sentence that the pairs allow, where each place has one and each is proven; else empty."""
    alone = np.bincount(pairs.places, minlength=pairs.width).max() == 1
    return heaviest_chain(pairs, np.ones(len(pairs))) if alone and pairs.settled.all() else ()


@dataclass(frozen=True)
class Effort:
    """How much is spent on the pairs that no sentence explains yet.

    Attributes:
        attempts: passes over these pairs, each from another start and with more equations than the
            last. A pass tries one pair of a sentence: what an attempt that failed took for one
            sentence is not tried again in that pass.
        patience: how many attempts in a row may fail in a pass.
    """

    attempts: int = 3
    patience: int = 12

    @classmethod
    def thrifty(cls) -> Effort:
        """Where what was found can be taken off, which makes the rest easier."""
        return cls(attempts=1, patience=6)

    @classmethod
    def noisy(cls) -> Effort:
        """Where the gradient's check has the last word."""
        return cls(attempts=2)


def assemble(
    pairs: Pairs,
    report: Callable[[Assembly], None] | None = None,
    *,
    effort: Effort,
    begin: Assembly | None = None,
    seed: int = 0,
) -> Assembly:
    """Find the sentences of a batch: complete every settled pair that no sentence explains yet.

    Args:
        pairs: the candidates.
        report: called with every sentence.
        effort: how much to spend.
        begin: what was found before.
        seed: of the random starts.
    """
    assembly = begin or Assembly()
    rng = np.random.default_rng(seed)
    for attempt in range(effort.attempts):
        tried = assembly.covered(pairs)
        misses = 0
        for e in _unexplained(pairs, assembly):
            if tried[e] or misses >= effort.patience:
                continue
            if _try(pairs, assembly, e, attempt, rng):
                misses = 0
                tried |= assembly.covered(pairs)
                if report:
                    report(assembly)
            else:
                misses += 1
                tried[_clear_part(assembly.attempted[e])] = True
        if not _unexplained(pairs, assembly):
            break
    return assembly


def _clear_part(found: Completion) -> list[int]:
    """The pairs that an attempt clearly took for one sentence."""
    return [e for e in found.chosen if found.weights[e] > _CLEAR_WEIGHT]


def tokens_of(pairs: Pairs, assembly: Assembly) -> int:
    """How many distinct contexts the proven sentences account for."""
    return sum(len(chosen) for chosen in assembly.proven)


def guesses(
    pairs: Pairs, assembly: Assembly, most: int | None
) -> list[tuple[tuple[int, ...], Array]]:
    """Unproven sentences for pairs that no proven one explains, best first, with their weights.

    Args:
        pairs: the candidates.
        assembly: what was proven and attempted.
        most: how many sentences at most; where that is not known, only those that explain a settled
            pair or name every word clearly.
    """
    wanted = len(pairs) if most is None else most
    covered = assembly.covered(pairs)
    chosen: list[tuple[tuple[int, ...], Array]] = []
    likeliest = heaviest_chain(pairs, _plain_weights(pairs))
    if not assembly.proven and wanted and likeliest:
        # Where nothing can be proven, the likeliest pair of each place is the first guess.
        shares = np.bincount(pairs.places, minlength=pairs.width)[pairs.places]
        weights = np.where(pairs.settled, 0.9, 0.9 / shares)[list(likeliest)]
        chosen.append((likeliest, weights))
        covered[list(likeliest)] = True
    for e, found in sorted(assembly.attempted.items(), key=lambda item: item[1].residual):
        if len(chosen) >= wanted:
            break
        if covered[e] or not found.chosen:
            continue
        weights = found.weights[list(found.chosen)].clip(0, 1)
        if most is None and not pairs.settled[e] and weights[1:].min() < _CLEAR_WEIGHT:
            continue
        chosen.append((found.chosen, weights))
        covered[list(found.chosen)] = True
    return chosen


def _plain_weights(pairs: Pairs) -> Array:
    """Weights for the longest sentence, the only one that ends at the last place."""
    at_end = np.where(pairs.places == pairs.width - 1, 2.0, -0.4)
    weights: Array = np.where(pairs.settled, 1.5, 0.5) + at_end * pairs.ends
    return weights


def _unexplained(pairs: Pairs, assembly: Assembly) -> list[int]:
    left = np.flatnonzero(pairs.settled & ~assembly.covered(pairs))
    # Pairs far into a sentence have the fewest companions: few sentences reach that far.
    return [int(e) for e in left[np.argsort(-pairs.places[left], kind="stable")]]


def _try(pairs: Pairs, assembly: Assembly, e: int, attempt: int, rng: np.random.Generator) -> bool:
    checkpoint()
    allowed = np.ones(len(pairs), dtype=bool)
    start = None if attempt == 0 else rng.random(len(pairs))
    found = complete(pairs, [e], allowed, start=start, helpers=4 * attempt)
    assembly.evaluations += 1
    assembly.attempted[e] = found
    if not found.chosen or found.chosen in assembly.proven:
        return False
    if e not in found.chosen or not is_proven(pairs, found.chosen):
        return False
    assembly.proven.append(found.chosen)
    return True


def assemble_by_words(
    pairs: Pairs,
    report: Callable[[Assembly], None] | None = None,
    *,
    begin: Assembly | None = None,
    again: bool = True,
    tries: int | None = None,
    patience: int | None = None,
) -> Assembly:
    """Find the sentences of a batch where few pairs are settled: try each word at each place.

    Every word of the batch stands somewhere; at the right place it completes to a sentence, at a
    wrong one to nothing.

    Args:
        pairs: the candidates.
        report: called with every sentence.
        begin: what was found before.
        again: go on to words that found sentences hold, as long as contexts are unaccounted for.
        tries: how many places of a word to try, in the order of the pairs; all by default.
        patience: how many attempts may fail before the first sentence is proven; all by default. Where
            pruning or noise leaves no sentence to be proven, each would take as long and give nothing.
    """
    assembly = begin or Assembly()
    framed = (pairs.frame.first, pairs.frame.last)
    words = [w for w in dict.fromkeys(pairs.words.tolist()) if w not in framed]
    for word in sorted(words, key=lambda w: int((pairs.words == w).sum())):
        if any(word in pairs.sentence(chosen) for chosen in assembly.proven):
            continue
        for e in np.flatnonzero(pairs.words == word).tolist()[:tries]:
            if tokens_of(pairs, assembly) >= pairs.span.rank:
                return assembly
            misses = len(assembly.attempted)
            if patience is not None and not assembly.proven and misses >= patience:
                return assembly
            if _try(pairs, assembly, e, 0, np.random.default_rng(0)):
                if report:
                    report(assembly)
                break
    rest = np.flatnonzero(~assembly.covered(pairs) & ~pairs.ends).tolist() if again else []
    for e in rest:
        if tokens_of(pairs, assembly) >= pairs.span.rank:
            break
        if assembly.covered(pairs)[e]:
            continue
        if _try(pairs, assembly, e, 0, np.random.default_rng(0)) and report:
            report(assembly)
    return assembly
