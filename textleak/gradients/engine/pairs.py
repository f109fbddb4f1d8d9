"""Dummy gradients beside the shared ones, for every candidate at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from textleak.gradients.distances import one_minus_cosine
from textleak.gradients.engine.factors import Dense, Product, thinner
from textleak.gradients.engine.lowrank import LowRank, compress
from textleak.gradients.engine.thin import thin_statistics
from textleak.gradients.layers import Formed, Term


class Target:
    """The shared gradient G of one tensor, prepared once for many evaluations.

    Attributes:
        shared: G.
        squared: ||G||², (1, 1).
    """

    def __init__(self, name: str, shared: Tensor) -> None:
        self.name = name
        self.shared = shared
        self.squared = shared.double().square().sum().to(shared).reshape(1, 1)

    @cached_property
    def matrix(self) -> Tensor:
        """G with everything past its first axis made one, (rows, columns)."""
        return self.shared.reshape(len(self.shared), -1)

    @cached_property
    def thin(self) -> LowRank | None:
        """G as a thin product, where that is exact."""
        return compress(self.matrix)


def form(terms: Sequence[Term], target: Target, candidates: int) -> Tensor:
    """The sum of the terms in full, (R, *shape of G)."""
    shape = (candidates, *target.shared.shape)
    parts = [
        term.values.to(target.shared)
        if isinstance(term, Formed)
        else term.left.outer(term.right, len(target.shared)).reshape(shape)
        for term in terms
    ]
    return sum(parts[1:], parts[0]) if parts else target.shared.new_zeros(shape)


class FormedPair:
    """Gradients in full, of P tensors of one shape.

    Args:
        gradients: g of each tensor, (R, *shape of G).
        targets: G of each tensor.
    """

    def __init__(self, gradients: Sequence[Tensor], targets: Sequence[Target]) -> None:
        self.names = [target.name for target in targets]
        self.gradients = torch.stack(list(gradients)).flatten(2)  # (P, R, numbers)
        self.shared = torch.stack([target.shared for target in targets])  # (P, *shape)
        self.shared_squared = torch.cat([target.squared for target in targets])
        self.entries = targets[0].shared.numel()

    def dot(self) -> Tensor:
        """<g, G>, (P, R)."""
        return (self.gradients @ self.shared.flatten(1).unsqueeze(2)).squeeze(2)

    def squared(self) -> Tensor:
        """||g||², (P, R)."""
        return self.gradients.square().sum(2)

    def residual(self) -> Tensor:
        """||g - G||², (P, R)."""
        return (self.gradients - self.shared.flatten(1).unsqueeze(1)).square().sum(2)

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (P, R)."""
        return (self.gradients - self.shared.flatten(1).unsqueeze(1)).abs().sum(2)

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (P, R)."""
        sizes = self.shared[0].square().sum(1)
        kept = sizes > negligible**2 * sizes.max()
        shared = self.shared[0][kept]  # (rows, columns)
        gradients = self.gradients[0].reshape(-1, *self.shared[0].shape)[:, kept]
        dots = (gradients * shared).sum(2)  # (R, rows)
        cosines = one_minus_cosine(dots, gradients.square().sum(2), sizes[kept])
        return cosines.mean(1).unsqueeze(0)


class FactoredPair:
    """One tensor's gradients as sums of thin products: nothing of the weight's size is formed.

    Args:
        products: the terms of g.
        target: G.
    """

    def __init__(self, products: Sequence[Product], target: Target) -> None:
        self.names = [target.name]
        self.products = products
        self.target = target
        self.shared_squared = target.squared
        self.entries = target.shared.numel()

    def dot(self) -> Tensor:
        """<g, G>, (1, R)."""
        return self._statistics[0].unsqueeze(0)

    def squared(self) -> Tensor:
        """||g||², (1, R)."""
        return self._statistics[1].unsqueeze(0)

    def residual(self) -> Tensor:
        """||g - G||², (1, R).

        The expansion cancels where g is close to G. Half of its digits are lost below the root of
        the type's rounding; there a candidate's residual is formed, one candidate at a time.
        """
        expanded = self.squared() - 2 * self.dot() + self.shared_squared
        rounding = torch.finfo(expanded.dtype).eps
        near = (expanded.detach() < rounding**0.5 * self.shared_squared).squeeze(0).tolist()
        if not any(near):
            return expanded
        columns = [
            self._formed_residual(candidate) if close else expanded[:, candidate : candidate + 1]
            for candidate, close in enumerate(near)
        ]
        return torch.cat(columns, 1)

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (1, R)."""
        return self._full().absolute()

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (1, R)."""
        return self._full().row_cosine(negligible)

    def _formed_residual(self, candidate: int) -> Tensor:
        """||g - G||² of one candidate without cancellation, (1, 1); nothing formed is kept."""
        products = [product.only(candidate) for product in self.products]

        def residual() -> Tensor:
            return FormedPair([form(products, self.target, 1)], [self.target]).residual()

        formed: Tensor = checkpoint(residual, use_reentrant=False, preserve_rng_state=False)
        return formed

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """<g, G> and ||g||², each (R,)."""
        thin = self.target.thin
        left, right = self.products[0]
        if len(self.products) == 1 and thin is not None and isinstance(left, Dense):
            return thin_statistics(left.values, right, *thin)
        return self._dot(thin), self._squared()

    def _dot(self, thin: LowRank | None) -> Tensor:
        parts = []
        for left, right in self.products:
            if thin is None:
                parts.append((left.times(self.target.matrix) * right).sum((1, 2)))
            else:
                parts.append((left.times(thin.left) * (right @ thin.right)).sum((1, 2)))
        return torch.stack(parts).sum(0)

    def _squared(self) -> Tensor:
        parts = []
        for index, one in enumerate(self.products):
            for other in self.products[index:]:
                grams = one.left.gram(other.left) * (one.right @ other.right.mT)
                parts.append(grams.sum((1, 2)) * (1 if other is one else 2))
        return torch.stack(parts).sum(0)

    def _full(self) -> FormedPair:
        candidates = len(self.products[0].right)
        return FormedPair([form(self.products, self.target, candidates)], [self.target])


def factors_pay(terms: Sequence[Term], target: Target) -> bool:
    """Whether all terms are products, and the factors smaller than the gradient itself."""
    products = [term for term in terms if isinstance(term, Product)]
    if not products or len(products) < len(terms):
        return False
    tokens = sum(product.right.shape[1] for product in products)
    return thinner(tokens, *target.matrix.shape)
