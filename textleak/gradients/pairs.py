"""A dummy gradient beside the shared one, for every candidate at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from textleak.gradients.distances import one_minus_cosine
from textleak.gradients.factors import Product
from textleak.gradients.layers import Formed, Term
from textleak.gradients.lowrank import compress


class Target:
    """The shared gradient G of one tensor, prepared once for many evaluations.

    Attributes:
        shared: G.
        shared_squared: ||G||².
    """

    def __init__(self, shared: Tensor) -> None:
        self.shared = shared
        self.shared_squared = float(shared.square().sum())

    @cached_property
    def matrix(self) -> Tensor:
        """G with everything past its first axis made one, (rows, columns)."""
        return self.shared.reshape(len(self.shared), -1)

    @cached_property
    def thin(self) -> tuple[Tensor, Tensor] | None:
        """G as a thin product, where that is exact."""
        return compress(self.matrix)


def form(terms: Sequence[Term], target: Target, candidates: int) -> Tensor:
    """The sum of the terms in full, (R, *shape of G)."""
    rows = len(target.shared)
    total = target.shared.new_zeros(candidates, *target.shared.shape)
    for term in terms:
        if isinstance(term, Formed):
            total = total + term.values.to(total)
        else:
            total = total + term.left.outer(term.right, rows).reshape(total.shape)
    return total


class FullPair:
    """Gradients in full: small tensors, and distances that need every entry.

    Args:
        gradients: g, (R, *shape of G).
        target: G.
    """

    def __init__(self, gradients: Tensor, target: Target) -> None:
        self.gradients = gradients
        self.target = target
        self.shared_squared = target.shared_squared

    def dot(self) -> Tensor:
        """<g, G>, (R,)."""
        return self.gradients.flatten(1) @ self.target.shared.flatten()

    def squared(self) -> Tensor:
        """||g||², (R,)."""
        return self.gradients.flatten(1).square().sum(1)

    def residual(self) -> Tensor:
        """||g - G||², (R,)."""
        return (self.gradients - self.target.shared).flatten(1).square().sum(1)

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (R,)."""
        return (self.gradients - self.target.shared).flatten(1).abs().sum(1)

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (R,)."""
        sizes = self.target.shared.square().sum(1)
        kept = sizes > negligible**2 * sizes.max()
        gradients, shared = self.gradients[:, kept], self.target.shared[kept]
        dots = (gradients * shared).sum(2)  # (R, kept rows)
        return one_minus_cosine(dots, gradients.square().sum(2), sizes[kept]).mean(1)


class FactoredPair:
    """Gradients as sums of thin products: nothing of the weight's size is formed.

    Args:
        products: the terms of g.
        target: G.
        candidates: R.
    """

    def __init__(self, products: Sequence[Product], target: Target, candidates: int) -> None:
        self.products = products
        self.target = target
        self.candidates = candidates
        self.shared_squared = target.shared_squared

    def dot(self) -> Tensor:
        """<g, G>, (R,)."""
        parts = []
        for left, right in self.products:
            if self.target.thin is None:
                parts.append((left.times(self.target.matrix) * right).sum((1, 2)))
            else:
                rows, columns = self.target.thin
                parts.append((left.times(rows) * (right @ columns)).sum((1, 2)))
        return torch.stack(parts).sum(0)

    def squared(self) -> Tensor:
        """||g||², (R,)."""
        parts = []
        for index, one in enumerate(self.products):
            for other in self.products[index:]:
                grams = one.left.gram(other.left) * (one.right @ other.right.mT)
                parts.append(grams.sum((1, 2)) * (1 if other is one else 2))
        return torch.stack(parts).sum(0)

    def residual(self) -> Tensor:
        """||g - G||², (R,)."""
        return self.squared() - 2 * self.dot() + self.shared_squared

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (R,)."""
        return self._full().absolute()

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (R,)."""
        return self._full().row_cosine(negligible)

    def _full(self) -> FullPair:
        return FullPair(form(self.products, self.target, self.candidates), self.target)


def pair(terms: Sequence[Term], target: Target, candidates: int) -> FullPair | FactoredPair:
    """Compare in factors, unless a part is formed already or forming is smaller than the factors."""
    products = [term for term in terms if isinstance(term, Product)]
    if products and len(products) == len(terms):
        tokens = sum(product.right.shape[1] for product in products)
        rows, columns = target.matrix.shape
        if tokens * (rows + columns) < rows * columns:
            return FactoredPair(products, target, candidates)
    return FullPair(form(terms, target, candidates), target)
