"""A weight's gradient as a product of thin factors, one product a candidate.

Every term of a gradient g (rows, columns) is `leftᵀ right`. The right factor is always a dense
(R, n, columns) tensor; the left one is dense (a linear layer), one-hot (a hard lookup) or a mixture
of a few rows (a soft lookup). R is candidates, n is tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


def thinner(tokens: int, rows: int, columns: int) -> bool:
    """Whether `tokens` vectors on either side are fewer numbers than the (rows, columns) they make."""
    return tokens * (rows + columns) < rows * columns


class Factor(Protocol):
    """The left factor: n vectors over the rows of the gradient, a candidate."""

    def times(self, matrix: Tensor) -> Tensor:
        """`left @ matrix` for a (rows, k) matrix, (R, n, k)."""

    def at(self, rows: Tensor) -> Tensor:
        """The columns of `left` at `rows` (R or 1, K), (R, n, K)."""

    def gram(self, other: Factor) -> Tensor:
        """`left @ otherᵀ`, (R, n, n of other)."""

    def outer(self, right: Tensor, rows: int) -> Tensor:
        """`leftᵀ @ right` in full, (R, rows, columns)."""

    def only(self, candidate: int) -> Factor:
        """The factor of one candidate, R = 1."""


@dataclass(frozen=True)
class Dense:
    """Any vectors: `values` (R, n, rows)."""

    values: Tensor

    def times(self, matrix: Tensor) -> Tensor:
        return self.values @ matrix

    def at(self, rows: Tensor) -> Tensor:
        count = max(len(self.values), len(rows))  # one candidate may stand beside many
        values = self.values.expand(count, -1, -1)
        return values.gather(2, rows.unsqueeze(1).expand(count, values.shape[1], -1))

    def gram(self, other: Factor) -> Tensor:
        if isinstance(other, Dense):
            return self.values @ other.values.mT
        return other.gram(self).mT

    def outer(self, right: Tensor, rows: int) -> Tensor:
        return self.values.mT @ right

    def only(self, candidate: int) -> Dense:
        return Dense(self.values[candidate : candidate + 1])


@dataclass(frozen=True)
class OneHot:
    """A hard lookup: `ids` (R, n); `dtype` is that of the right factor."""

    ids: Tensor
    dtype: torch.dtype

    def times(self, matrix: Tensor) -> Tensor:
        return matrix[self.ids]

    def at(self, rows: Tensor) -> Tensor:
        return (self.ids.unsqueeze(2) == rows.unsqueeze(1)).to(self.dtype)

    def gram(self, other: Factor) -> Tensor:
        return other.at(self.ids).mT

    def outer(self, right: Tensor, rows: int) -> Tensor:
        return _scatter(self.ids, right, rows)

    def only(self, candidate: int) -> OneHot:
        return OneHot(self.ids[candidate : candidate + 1], self.dtype)


@dataclass(frozen=True)
class Mixture:
    """A soft lookup: `weights` (R, n, C) over the distinct `rows` (C,)."""

    weights: Tensor
    rows: Tensor

    def times(self, matrix: Tensor) -> Tensor:
        return self.weights @ matrix[self.rows]

    def at(self, rows: Tensor) -> Tensor:
        same = self.rows.unsqueeze(1) == rows.unsqueeze(-2)  # (R or 1, C, K)
        return self.weights @ same.to(self.weights.dtype)

    def gram(self, other: Factor) -> Tensor:
        if isinstance(other, Mixture) and other.rows is self.rows:
            return self.weights @ other.weights.mT
        return self.weights @ other.at(self.rows.unsqueeze(0)).mT

    def outer(self, right: Tensor, rows: int) -> Tensor:
        ids = self.rows.expand(len(right), -1)
        return _scatter(ids, self.weights.mT @ right, rows)

    def only(self, candidate: int) -> Mixture:
        return Mixture(self.weights[candidate : candidate + 1], self.rows)


class Product(NamedTuple):
    """One term of a gradient: `leftᵀ right`."""

    left: Factor
    right: Tensor

    def only(self, candidate: int) -> Product:
        """The term of one candidate, R = 1."""
        return Product(self.left.only(candidate), self.right[candidate : candidate + 1])


def _scatter(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Sum `values` (R, n, columns) into rows `ids` (R, n) of a zero (R, rows, columns)."""
    out = values.new_zeros(len(values), rows, values.shape[2])
    return out.scatter_add(1, ids.unsqueeze(2).expand_as(values), values)
