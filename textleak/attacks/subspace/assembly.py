"""Put a batch's sentences together: complete one from each pair that no sentence explains yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from textleak.attacks.subspace.completion import complete
from textleak.attacks.subspace.pairs import Pairs

_MARGIN = 10.0  # a sentence is proven when every change of one word is this many times worse


@dataclass
class Assembly:
    """The sentences so far.

    Attributes:
        proven: sentences as tuples of pair indices, each certain by its contexts.
        guesses: what the best attempts at unexplained pairs gave, with each token's weight.
        evaluations: sentences put through layer 0, and steps of the completion.
    """

    proven: list[tuple[int, ...]] = field(default_factory=list)
    guesses: list[tuple[tuple[int, ...], list[float]]] = field(default_factory=list)
    evaluations: int = 0

    def covered(self, pairs: Pairs) -> np.ndarray:
        """Which pairs a proven sentence uses; (E,)."""
        mask = np.zeros(len(pairs), dtype=bool)
        for chosen in self.proven:
            mask[list(chosen)] = True
        return mask


def residual_of(pairs: Pairs, chosen: tuple[int, ...]) -> float:
    """The largest residual among the contexts of one sentence."""
    ids = torch.tensor(pairs.sentence(chosen))
    return float(pairs.residuals(ids[None]).max())


def is_proven(pairs: Pairs, chosen: tuple[int, ...], among: int = 64) -> bool:
    """Whether a sentence's contexts lie in the span, and those of sentences one word away do not.

    The margin is taken from the neighbours themselves, so it needs no threshold for a model or for
    the precision of the update.
    """
    own = residual_of(pairs, chosen)
    ids = list(pairs.sentence(chosen))
    rng = np.random.default_rng(0)
    places = [t for t in range(1, len(ids) - 1)]
    rows = []
    for t in places:
        others = [e for e in np.flatnonzero(pairs.places == t) if pairs.words[e] != ids[t]]
        others = rng.permutation(others)[: max(1, among // max(len(places), 1))].tolist()
        words = [int(pairs.words[e]) for e in others] or [int(rng.choice(pairs.words))]
        rows += [ids[:t] + [word] + ids[t + 1 :] for word in words if word != ids[t]]
    if not rows:
        return own < 1e-3
    near = pairs.residuals(torch.tensor(rows)).amax(1)
    # A twin one word away may be in the batch as well: then both residuals are at rounding level.
    return own * _MARGIN < float(near.median()) and own < float(near.min()) * _MARGIN


def assemble(
    pairs: Pairs,
    report: Callable[[Assembly], None] | None = None,
    *,
    attempts: int = 3,
    seed: int = 0,
) -> Assembly:
    """Find the sentences of a batch.

    First from every settled pair that no sentence explains; then, while the proven sentences do not
    account for the rank of the contexts, from open pairs and with random pairs of known sentences
    barred.
    """
    assembly = Assembly()
    rng = np.random.default_rng(seed)
    failed: set[int] = set()
    for attempt in range(attempts):
        for e in _unexplained(pairs, assembly):
            if assembly.covered(pairs)[e]:
                continue
            if _try(pairs, assembly, e, attempt, rng):
                failed.discard(e)
                if report:
                    report(assembly)
            else:
                failed.add(e)
        if not _unexplained(pairs, assembly):
            break
    return assembly


def tokens_of(pairs: Pairs, assembly: Assembly) -> int:
    """How many distinct contexts the proven sentences account for."""
    return sum(len(chosen) for chosen in assembly.proven)


def _unexplained(pairs: Pairs, assembly: Assembly) -> list[int]:
    left = np.flatnonzero(pairs.settled & ~assembly.covered(pairs))
    # Pairs far into a sentence have the fewest companions: few sentences reach that far.
    return left[np.argsort(-pairs.places[left], kind="stable")].tolist()


def _try(
    pairs: Pairs, assembly: Assembly, e: int, attempt: int, rng: np.random.Generator
) -> bool:
    allowed = np.ones(len(pairs), dtype=bool)
    start = None if attempt == 0 else rng.random(len(pairs))
    found = complete(pairs, e, allowed, start=start, helpers=4 * attempt)
    assembly.evaluations += 1
    if not found.chosen or found.chosen in assembly.proven:
        return False
    if e not in found.chosen or not is_proven(pairs, found.chosen):
        return False
    assembly.proven.append(found.chosen)
    return True


def _search_rest(
    pairs: Pairs,
    assembly: Assembly,
    rng: np.random.Generator,
    report: Callable[[Assembly], None] | None,
    patience: int = 40,
) -> None:
    """Sentences all of whose settled pairs also stand in others: bar some pairs, start from any."""
    while patience and tokens_of(pairs, assembly) < pairs.span.rank and pairs.span.gap > 1:
        patience -= 1
        covered = assembly.covered(pairs)
        open_pairs = np.flatnonzero(~covered & (pairs.places > 0))
        pool = open_pairs if len(open_pairs) and rng.random() < 0.7 else np.arange(len(pairs))
        e = int(rng.choice(pool))
        allowed = np.ones(len(pairs), dtype=bool)
        for chosen in assembly.proven:
            inner = [p for p in chosen[1:] if p != e]
            allowed[rng.choice(inner, size=max(1, len(inner) // 3), replace=False)] = False
        allowed[pairs.ends] = True
        found = complete(pairs, e, allowed)
        assembly.evaluations += 1
        if found.chosen and found.chosen not in assembly.proven and is_proven(pairs, found.chosen):
            assembly.proven.append(found.chosen)
            if report:
                report(assembly)
