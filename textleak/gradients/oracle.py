"""The slow, obvious way: double backward through gradients formed in full."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from textleak.gradients.distances import one_minus_cosine
from textleak.gradients.engine.stand_in import stand_ins
from textleak.gradients.matcher import Forward, Matcher, accumulation, check_losses, table_of


class TableLookup:
    """A recorder for plain autograd: a soft lookup is a product with the table."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """See `Recorder.lookup`."""
        table = table_of(self._parameters, name)
        return weights @ (table if rows is None else table[rows])


class FormedPair:
    """One candidate's gradient of one tensor, in full, beside the shared one: P = R = 1.

    Args:
        name: the tensor.
        gradient: g, any shape.
        shared: G, the same shape.
    """

    def __init__(self, name: str, gradient: Tensor, shared: Tensor) -> None:
        self.names = (name,)
        self.gradient = gradient
        self.shared = shared
        self.shared_squared = shared.square().sum().reshape(1, 1)
        self.entries = shared.numel()

    def dot(self) -> Tensor:
        """<g, G>, (1, 1)."""
        return (self.gradient * self.shared).sum().reshape(1, 1)

    def squared(self) -> Tensor:
        """||g||², (1, 1)."""
        return self.gradient.square().sum().reshape(1, 1)

    def residual(self) -> Tensor:
        """||g - G||², (1, 1)."""
        return (self.gradient - self.shared).square().sum().reshape(1, 1)

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (1, 1)."""
        return (self.gradient - self.shared).abs().sum().reshape(1, 1)

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (1, 1)."""
        sizes = self.shared.square().sum(1)
        kept = sizes > negligible**2 * sizes.max()
        gradient, shared = self.gradient[kept], self.shared[kept]
        dots = (gradient * shared).sum(1)
        rows = one_minus_cosine(dots, gradient.square().sum(1), sizes[kept])
        return rows.mean().reshape(1, 1)


class OracleMatcher(Matcher):
    """Double backward, candidate by candidate; right for any module, and slow."""

    def _evaluate(
        self, forward: Forward, candidates: int, batch: int, differentiable: bool
    ) -> Tensor:
        with stand_ins(self.module, self.shared) as parameters:
            losses = check_losses(forward(TableLookup(parameters)), candidates)
        wanted = {name: parameters[name] for name in self.shared}
        return torch.cat([self._distance(loss, wanted, differentiable) for loss in losses])

    def _distance(self, loss: Tensor, wanted: Mapping[str, Tensor], differentiable: bool) -> Tensor:
        found = torch.autograd.grad(
            loss,
            list(wanted.values()),
            create_graph=differentiable,
            retain_graph=True,
            allow_unused=True,
        )
        compared = []
        for (name, parameter), gradient in zip(wanted.items(), found, strict=True):
            whole = torch.zeros_like(parameter) if gradient is None else gradient
            compared.append(FormedPair(name, whole.to(accumulation(whole)), self.shared[name]))
        return self.distance(compared, self.weights)
