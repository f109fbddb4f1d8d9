"""The word-place pairs that a batch may hold, and layer 0's attention among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from textleak.core.randomness import stream
from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.spans import Span

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The ids that frame every sentence."""

    first: int
    last: int


@dataclass(frozen=True)
class Query:
    """What one pair's query makes of a sentence that holds the pairs with multiplicity y.

    Its context per head h is sum_e y_e weights[h, e] value_e / sum_e y_e weights[h, e].

    Attributes:
        weights: (h, E) exponentiated attention scores.
        measured: (h, K, E) what each weighted value adds to the K measurements of the context.
        target: (K,) what the context of this pair must measure.
    """

    weights: Array
    measured: Array
    target: Array


@dataclass(frozen=True)
class Duals:
    """Measurements that tell the contexts of some pairs: c_i . vector_j = [i = j].

    Attributes:
        pairs: (n,) the pairs j.
        vectors: (n, H) see `textleak.evidence.duals`.
    """

    pairs: NDArray[np.int64]
    vectors: Tensor


class Pairs:
    """Candidate pairs of one batch.

    Attributes:
        words: (E,) ids.
        places: (E,) positions.
        rows: (E,) places as the layer counts them.

    Args:
        layer: the public first layer.
        pairs: (word id, place) each.
        settled: for each whether it is proven to occur.
        span: the span of layer 0's contexts.
        frame: the ids of [CLS] and [SEP].
        duals: measurements that tell contexts apart, if there are any.
        measurements: how many numbers to measure of a context; more are mixed into as many.
    """

    def __init__(
        self,
        layer: FirstLayer,
        pairs: Sequence[tuple[int, int]],
        settled: Sequence[bool],
        span: Span,
        frame: Frame,
        duals: Duals | None = None,
        measurements: int = 150,
    ) -> None:
        self.layer, self.span, self.frame = layer, span, frame
        words = torch.tensor([w for w, _ in pairs])
        places = torch.tensor([t for _, t in pairs])
        self.words: NDArray[np.int64] = words.numpy()
        self.places: NDArray[np.int64] = (places % layer.count).numpy()
        self.rows: NDArray[np.int64] = places.numpy()
        self.settled: NDArray[np.bool_] = np.array(settled, dtype=bool)
        self.ends: NDArray[np.bool_] = layer.ends(words, places, frame.last).numpy()
        self.width = int(self.places.max()) + 1
        self.index = {pair: e for e, pair in enumerate(pairs)}
        self._q, self._k, self._v = layer.projected(layer.inputs(words, places))
        self._duals = duals
        rows = span.complement
        if duals is not None:
            rows = torch.cat([rows, duals.vectors / duals.vectors.norm(dim=1, keepdim=True)])
        self._mix = _mixing(len(rows), measurements)
        rows = self._mix @ rows
        measures = rows.view(len(rows), layer.heads, rows.shape[1] // layer.heads)  # (K, h, d)
        self._measured = torch.einsum("khd,ehd->hke", measures, self._v)
        self.opening = None if layer.bare else self.index[(frame.first, 0)]
        self._opening_query: Query | None = None

    def __len__(self) -> int:
        return len(self.words)

    def query(self, pair: int) -> Query:
        """The attention of `pair` to every pair."""
        if self._opening_query is not None and pair == self.opening:
            return self._opening_query
        scores = torch.einsum("hd,ehd->he", self._q[pair], self._k) / self._q.shape[-1] ** 0.5
        if self.layer.relative is not None:
            places = torch.from_numpy(self.places)
            scores = scores + self.layer.between(places[[pair]], places)[:, 0]
        weights = (scores - scores.amax(1, keepdim=True)).exp()
        measured = (self._measured * weights[:, None]).numpy()
        query = Query(weights.numpy(), measured, self._target(pair))
        if pair == self.opening:
            self._opening_query = query
        return query

    def _target(self, pair: int) -> Array:
        target = np.zeros(self._mix.shape[1])
        if self._duals is not None:
            first = len(self.span.complement)
            told, rows = self._duals.pairs, self.rows if self.layer.typed else self.places
            own = np.flatnonzero(
                (self.words[told] == self.words[pair]) & (rows[told] == rows[pair])
            )
            target[first + own] = 1 / self._duals.vectors[own].norm(dim=1).numpy()
        return np.asarray(self._mix.numpy() @ target)

    def sentence(self, chosen: Sequence[int]) -> tuple[int, ...]:
        """The word ids of chosen pairs in the order of their places."""
        return tuple(int(self.words[e]) for e in chosen)

    def chains(self, sentences: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
        """The pairs of those sentences all of whose pairs are among the candidates."""
        held = [
            [
                self.index.get((w, t))
                for w, t in zip(ids, self.layer.standing(torch.tensor(ids)).tolist(), strict=True)
            ]
            for ids in sentences
        ]
        return [tuple(e for e in row if e is not None) for row in held if None not in row]


def _mixing(rows: int, most: int) -> Tensor:
    """A random orthonormal (min(rows, most), rows) mixture; the identity where nothing is saved."""
    if rows <= most:
        return torch.eye(rows).double()
    draw = stream(0, "subspace", "mixture").normal(rows, most).double()
    mixture: Tensor = torch.linalg.qr(draw).Q.T.contiguous()
    return mixture
