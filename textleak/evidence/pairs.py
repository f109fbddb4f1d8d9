"""Word-place pairs that the span of layer 0's inputs allows, without any embedding gradient.

LayerNorm(E[v] + P[t] + S) must lie in the row space of layer 0's query, key and value gradients
(DAGER, Petrov et al. 2024, section 4.1). Over the whole vocabulary this is screened with a few random
directions of the complement, in which LayerNorm is an affine map up to one scale a pair; what passes
is tested in full.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.core.budget import checkpoint
from textleak.core.randomness import stream
from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.spans import Span

_DIRECTIONS = 32
_ABSENT = 0.9  # a batch may use most of a small vocabulary; a word this far up is none of its
_CLEAR = 10.0  # the least step between what passes and what fails
_MARGIN = 3.0  # how far above the largest residual that passed another may lie


def pairs_in_span(
    layer: FirstLayer, span: Span, words: Tensor, places: int, most: int = 4096
) -> list[tuple[int, int]]:
    """The (word id, place) whose input lies in `span`, place by place until a place has none.

    A direction that the gradient holds only weakly blurs the edge between what lies inside and what
    does not, at some places more than at others. What is passed at the place with the widest margin
    is therefore passed everywhere: a false pair costs time, a true one that is missing costs a
    sentence.

    Args:
        layer: the public first layer.
        span: of layer 0's inputs.
        words: (W,) the words to try.
        places: how many places there can be.
        most: pairs of a place that are tested in full.
    """
    screen = _Screen(layer, span, words)
    tested: list[tuple[int, Tensor, Tensor, float]] = []  # place, words, residuals, edge
    for position in range(places):
        checkpoint()
        found = [_tested(layer, span, screen, words, at, most) for at in layer.variants([position])]
        known = max((edge for *_, edge in tested), default=0.0)
        kept = [part for part in found if float(part[2].min()) < max(part[3], known)]
        if not kept:
            break
        tested += kept
    inside = [float(exact[exact < edge].max()) for _, _, exact, edge in tested if edge]
    least = _MARGIN * max(inside, default=0.0)
    return [
        (int(v), place)
        for place, near, exact, edge in tested
        for v in near[exact < max(edge, least)]
    ]


def _tested(
    layer: FirstLayer, span: Span, screen: _Screen, words: Tensor, place: int, most: int
) -> tuple[int, Tensor, Tensor, float]:
    """The place, the words nearest to the span there, their residuals, and the edge of what lies inside."""
    coarse = screen.residuals(place)
    near = coarse.argsort()[:most]
    exact = span.residual(layer.inputs(words[near], torch.full_like(near, place)))
    return place, words[near], exact, _edge(exact, float(coarse.quantile(_ABSENT)))


def _edge(residuals: Tensor, usual: float) -> float:
    """The middle of the widest step between sorted residuals below the usual ones; 0 if none."""
    ordered = residuals.clamp_min(1e-9).sort().values
    logs = torch.cat([ordered[ordered < 0.3 * usual], torch.tensor([0.3 * usual]).double()]).log()
    if len(logs) < 2:
        return 0.0
    steps = logs[1:] - logs[:-1]
    at = int(steps.argmax())
    return float((0.5 * (logs[at] + logs[at + 1])).exp()) if steps[at].exp() > _CLEAR else 0.0


class _Screen:
    """Residuals of all words at one place in a few directions of the complement."""

    def __init__(self, layer: FirstLayer, span: Span, words: Tensor) -> None:
        complement = span.complement
        if len(complement) > _DIRECTIONS:
            draw = stream(0, "evidence", "directions")
            mix = draw.normal(_DIRECTIONS, len(complement)).double()
            complement = mix @ complement / len(complement) ** 0.5
        table = layer.words[words].float()
        directions, shift = layer.seen_along(complement)
        self._directions, self._shift = directions.float(), shift.float()  # (m, E), (m,)
        self._layer, self._table = layer, table
        self._means = table.mean(1)
        self._squares = table.square().mean(1)
        self._seen = table @ self._directions.T  # (W, m)
        self._ones = self._directions.sum(1)

    def residuals(self, place: int) -> Tensor:
        """(W,) the size of what lies outside the span, up to one factor."""
        at = self._layer.places[place].float()
        mean = self._means + at.mean()
        square = self._squares + at.square().mean() + 2 * (self._table @ at) / len(at)
        sigma = (square - mean.square() + self._layer.eps).sqrt()
        outside = self._seen + self._directions @ at - mean[:, None] * self._ones
        size = float(self._layer.scale.norm())
        sizes: Tensor = (outside / sigma[:, None] + self._shift).norm(dim=1) / size
        return sizes
