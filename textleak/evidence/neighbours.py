"""The contexts of one sentence with one word changed, without its attention anew.

A change at place t touches the key and the value of t for every query, and the query of t itself.
Let a query's context be c = sum_j p_j v_j with attention p. With another word at t, whose key has
r = exp(q.k'_t) / sum_j exp(q.k_j) of the old sum, it becomes

    c' = (c - p_t v_t + r v'_t) / (1 - p_t + r).

So a neighbour costs T steps instead of T^2, and as many are worked on at a time as a block holds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.spans import Span


class Neighbours:
    """One sentence, and those that differ from it in one word.

    Args:
        layer: the public first layer.
        words: (T,) the sentence.
        least: of a query's attention: where a change leaves less, what is left is rounding, and that
            context is not looked at.

    Attributes:
        contexts: (T, H) of the sentence itself.
    """

    def __init__(self, layer: FirstLayer, words: Tensor, least: float = 1e-6) -> None:
        self._layer, self._least = layer, least
        self._places = layer.standing(words)
        self._q, self._k, self._v = layer.projected(layer.inputs(words, self._places))  # (T, h, d)
        self._q = self._q / self._q.shape[-1] ** 0.5
        self.contexts, self._logs = _attended(layer, self._q, self._k, self._v)

    def residuals(self, span: Span, places: Tensor, words: Tensor) -> Tensor:
        """The largest residual of any context of each neighbour; (n,).

        Args:
            span: of layer 0's contexts.
            places: (n,) where the word is another.
            words: (n,) that word.
        """
        if not len(places):
            return torch.zeros(0).double()
        most = max(1, self._layer.block // self.contexts.numel())
        found = []
        for at, to in zip(torch.split(places, most), torch.split(words, most), strict=True):
            contexts, clear = self._changed(at, to)
            found.append(span.residual(contexts).masked_fill(~clear, 0.0).amax(1))
        return torch.cat(found)

    def _changed(self, places: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (n, T, H) of neighbours, and which of them (n, T) rounding leaves something of."""
        q, k, v = self._layer.projected(
            self._layer.inputs(words, self._places[places])
        )  # (n, h, d)
        q = q / q.shape[-1] ** 0.5
        scores = torch.einsum("thd,nhd->nth", self._q, self._k[places])
        reached = torch.einsum("thd,nhd->nth", self._q, k)
        if self._layer.relative is not None:
            added = self._layer.between(torch.arange(len(self._q)), places).permute(2, 1, 0)
            scores, reached = scores + added, reached + added
        before = (scores - self._logs).exp()  # (n, T, h) the share of the word that leaves
        # Any attention that dwarfs all others does as well as an infinite one.
        after = (reached - self._logs).clamp_max(600).exp()
        old = self.contexts.view(len(self.contexts), self._layer.heads, -1)  # (T, h, d)
        left = 1 - before + after
        mixed = torch.addcmul(old, before[..., None], self._v[places][:, None], value=-1)
        mixed.addcmul_(after[..., None], v[:, None]).div_(left[..., None])  # (n, T, h, d)
        clear = (left > self._least).all(2)
        rows = torch.arange(len(places))
        mixed[rows, places] = self._own(places, q, k, v)
        clear[rows, places] = True
        return mixed.flatten(2), clear

    def _own(self, places: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the new words themselves attend to; (n, h, d)."""
        rows = torch.arange(len(places))
        scores = torch.einsum("nhd,thd->nth", q, self._k)
        scores[rows, places] = (q * k).sum(2)
        if self._layer.relative is not None:
            scores += self._layer.between(places, torch.arange(len(self._k))).permute(1, 2, 0)
        shares = scores.softmax(1)  # (n, T, h)
        others = shares.clone()
        others[rows, places] = 0
        return torch.einsum("nth,thd->nhd", others, self._v) + shares[rows, places][..., None] * v


def _attended(layer: FirstLayer, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Contexts (T, H) and the logarithms (T, h) of every query's sum of exponentials."""
    found: list[tuple[Tensor, Tensor]] = []
    places, size = torch.arange(len(k)), max(1, layer.block // (len(k) * layer.heads))
    for part, at in zip(torch.split(q, size), torch.split(places, size), strict=True):
        scores = torch.einsum("thd,shd->ths", part, k)  # (t, h, T)
        if layer.relative is not None:
            scores += layer.between(at, places).transpose(0, 1)
        logs = scores.logsumexp(2)
        scores.sub_(logs[..., None]).exp_()
        found.append((torch.einsum("ths,shd->thd", scores, v).flatten(1), logs))
    contexts, logs = (torch.cat(column) for column in zip(*found, strict=True))
    return contexts, logs
