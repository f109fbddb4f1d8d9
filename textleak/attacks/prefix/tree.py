"""The tree of prefixes that an update proves, grown word by word.

A prefix belongs to the batch if the state that it leaves lies in the row space of a later layer's weight
gradient (DAGER, Petrov et al. 2024, section 4.3). Each prefix found is tried with every word found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.prefix.states import Prefixes, PrefixStates, joined, kept
from textleak.core.bounds import Count
from textleak.core.budget import BudgetSpent
from textleak.evidence.spans import Span
from textleak.models.decoder_parts import Probe

Path = tuple[int, ...]


class TreeOptions(BaseModel):
    """When a prefix counts as found.

    Attributes:
        edge: the residuals of what belongs end where the next is this many times as large. Of exact
            gradients they are 1e-6 and less beside 6e-3 and more (SmolLM2-135M, 16 movie reviews,
            395 prefixes at a width of 576).
        most: no residual above this belongs.
        noisy_edge: the same as `edge` under noise or half precision. What belongs ends 1.7 times and
            more below what does not, where the next of what does not is 1.4 times away (SmolLM2-135M,
            one review under noise of 1e-4, eight sentences in bfloat16).
        noisy_most: the same as `most`, as a share of the median: most of what is tried never belongs.
        spread: none belongs that is this many times the largest before it: a level on which all
            texts have ended has a widest gap too.
        repeats: how often a first word may be repeated before anything else follows: attention over
            equal words gives the state of one, so they cannot be told apart until then. Under noise
            none may: they cannot be told apart behind it either.
        excess: the tree may have this many times as many prefixes as the span has dimensions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edge: float = Field(default=10.0, gt=1)
    most: float = Field(default=1e-2, gt=0, lt=1)
    noisy_edge: float = Field(default=1.5, gt=1)
    noisy_most: float = Field(default=0.5, gt=0, lt=1)
    spread: float = Field(default=100.0, gt=1)
    repeats: Count = 4
    excess: float = Field(default=1.5, ge=1)


@dataclass(frozen=True)
class Tree:
    """The prefixes found.

    Attributes:
        nodes: every prefix with its residual.
        complete: nothing more can follow; False where the search was cut off.
        stopped: the attack's budget cut it off.
    """

    nodes: dict[Path, float]
    complete: bool = True
    stopped: bool = False

    def leaves(self) -> list[Path]:
        """The prefixes that no other continues."""
        inner = {path[:-1] for path in self.nodes}
        return [path for path in self.nodes if path not in inner]


@dataclass(frozen=True)
class Sight:
    """A probe with the span of what it read."""

    probe: Probe
    span: Span


def grow(
    states: PrefixStates,
    sights: Sequence[Sight],
    words_at: Callable[[int], Tensor],
    longest: int,
    options: TreeOptions,
    on_level: Callable[[dict[Path, float]], None] = lambda nodes: None,
) -> Tree:
    """All prefixes that the spans hold.

    Args:
        states: runs the model.
        sights: the probes that decide, in the order of the forward pass.
        words_at: the words that may stand at a position, (W,).
        longest: no prefix has more words.
        options: when a prefix counts as found.
        on_level: told the prefixes so far after each position.
    """
    nodes: dict[Path, float] = {}
    try:
        complete = _fill(nodes, states, sights, words_at, longest, options, on_level)
    except BudgetSpent:
        if not nodes:
            raise
        return Tree(_without_idle_repeats(nodes), complete=False, stopped=True)
    return Tree(_without_idle_repeats(nodes), complete)


def _fill(
    nodes: dict[Path, float],
    states: PrefixStates,
    sights: Sequence[Sight],
    words_at: Callable[[int], Tensor],
    longest: int,
    options: TreeOptions,
    on_level: Callable[[dict[Path, float]], None],
) -> bool:
    """Put every prefix that the spans hold into `nodes`, position by position; whether that was all."""
    most = options.excess * min(sight.span.rank for sight in sights)
    level = Prefixes(torch.zeros(1, 0, dtype=torch.long))
    while level.length < longest:
        words = words_at(level.length)
        if not len(words):
            break
        level, residuals = _extended(states, sights, level, words, options, nodes)
        if not len(level):
            break
        paths = [tuple(row) for row in level.words.tolist()]
        nodes.update(zip(paths, residuals.tolist(), strict=True))
        found = _without_idle_repeats(nodes)
        if len(found) > most:
            return False
        on_level(found)
    return True


def _extended(
    states: PrefixStates,
    sights: Sequence[Sight],
    level: Prefixes,
    words: Tensor,
    options: TreeOptions,
    before: Mapping[Path, float],
) -> tuple[Prefixes, Tensor]:
    """The next level: the extensions that belong, with their residuals."""
    tried = [
        (found, _residual(sights, found.inputs))  # (n, W)
        for found in states.extended(level, words, [sight.probe for sight in sights])
    ]
    values = torch.cat([residual.flatten() for _, residual in tried])
    threshold = _threshold(values, sights, options, before)
    repeats = 1 if is_noisy(sights) else options.repeats
    parts, kept_values = [], []
    for found, residual in tried:
        chosen = (residual < threshold).nonzero()
        fresh = [
            not _repeats(level.words[found.rows.start + row], int(words[column]), repeats)
            for row, column in chosen.tolist()
        ]
        chosen = chosen[torch.tensor(fresh, dtype=torch.bool)]
        parts.append(kept(level, found, words, chosen))
        kept_values.append(residual[chosen[:, 0], chosen[:, 1]])
    return joined(parts), torch.cat(kept_values)


def _residual(sights: Sequence[Sight], inputs: Sequence[Tensor]) -> Tensor:
    """How far extensions lie outside the spans, as the geometric mean over the probes; (n, W)."""
    logs = [
        outside(sight.span, given).clamp_min(1e-12).log()
        for sight, given in zip(sights, inputs, strict=True)
    ]
    return torch.stack(logs).mean(0).exp()


def outside(span: Span, given: Tensor) -> Tensor:
    """The share of each input (..., width) outside the span; 1 where there is no input (padding's row)."""
    return span.residual(given).masked_fill((given == 0).all(-1), 1.0)


def _threshold(
    values: Tensor, sights: Sequence[Sight], options: TreeOptions, before: Mapping[Path, float]
) -> float:
    """Below this lies what belongs to a level whose extensions leave `values`, (n,)."""
    worst = max(before.values(), default=1.0)
    if not is_noisy(sights):
        return edge(values, options.edge, min(options.most, options.spread * worst))
    most = options.noisy_most * float(values.median())
    if before:  # in logarithms two thirds of the way to what does not belong
        most = min(most, (worst * most**2) ** (1 / 3))
    return edge(values, options.noisy_edge, most, last=True)


def is_noisy(sights: Sequence[Sight]) -> bool:
    """Whether the update that the sights read is noisy, or of half precision."""
    return any(sight.span.noisy for sight in sights)


def edge(residuals: Tensor, factor: float, most: float, last: bool = False) -> float:
    """What belongs lies below this: the widest gap of the residuals, if it is `factor` wide.

    Args:
        residuals: of all that may belong.
        factor: how many times as large the next residual is behind a gap.
        most: no gap begins above this.
        last: the last gap that is more than half as wide as the widest, in logarithms, instead of the
            widest: under noise what belongs is spread widely, and what does not is crowded.

    >>> edge(torch.tensor([0.2, 1e-7, 0.3, 3e-7]), 10, 1e-2)
    0.01
    >>> edge(torch.tensor([0.2, 0.3]), 10, 1e-2)
    0.0
    >>> round(edge(torch.tensor([1e-3, 0.02, 0.3, 0.31]), 1.5, 0.5, last=True), 3)
    0.3
    """
    ordered = residuals.sort().values.clamp_min(1e-12)
    below = ordered[ordered < most]
    if not len(below):
        return 0.0
    above = ordered[len(below)] if len(ordered) > len(below) else ordered.new_tensor(1.0)
    ends = torch.cat([below[1:], above[None].clamp_max(1.0)])
    gaps = ends / below
    at, widest = int(gaps.argmax()), float(gaps.max())
    if widest < factor:
        return 0.0
    if last:
        at = int((gaps >= max(factor, widest**0.5)).nonzero()[-1])
    return min(float(ends[at]), most) if at + 1 < len(below) else most


def _repeats(prefix: Tensor, word: int, most: int) -> bool:
    """Whether `word` is one more repeat of a first word that nothing else has followed yet."""
    return len(prefix) >= most and bool((prefix == word).all())


def _without_idle_repeats(nodes: dict[Path, float]) -> dict[Path, float]:
    """Without the repeats of a first word that nothing else follows: one word explains them."""
    needed = {
        path[:n]
        for path in nodes
        if path[-1] != path[0] and _uniform(path[:-1])
        for n in range(1, len(path))
    }
    return {p: v for p, v in nodes.items() if len(p) == 1 or p in needed or not _uniform(p)}


def _uniform(path: Path) -> bool:
    """Whether a prefix repeats one word."""
    return path[-1] == path[0] and path.count(path[0]) == len(path)
