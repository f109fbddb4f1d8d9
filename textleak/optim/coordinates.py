"""A change of variables in which a quadratic model of the objective is round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Closure = Callable[[Tensor], tuple[Tensor, Tensor]]


class RoundCoordinates:
    """Points x = origin + L⁻ᵀ y, where the metric is L Lᵀ: in y the metric is the identity.

    L-BFGS minimises f(x(y)) in as many steps as the metric is wrong, not as the problem is long and
    narrow (preconditioning, Nocedal and Wright 2006, section 5.1).

    Args:
        origin: (1, D), where y = 0.
        parts: the variables of each block, which together are all D of them.
        metrics: each block's positive definite matrix; overwritten by nothing.
    """

    def __init__(self, origin: Tensor, parts: Sequence[Tensor], metrics: Sequence[Tensor]) -> None:
        self.origin = origin.detach().clone()
        self._parts = list(parts)
        self._lower = [torch.linalg.cholesky(metric) for metric in metrics]
        self._upper = [lower.T.contiguous() for lower in self._lower]

    def points(self, coordinates: Tensor) -> Tensor:
        """The points (R, D) at coordinates (R, D)."""
        moved = torch.zeros_like(coordinates)
        for part, upper in zip(self._parts, self._upper, strict=True):
            along = torch.linalg.solve_triangular(upper, coordinates[:, part].T, upper=True)
            moved[:, part] = along.T
        return self.origin + moved

    def slopes(self, gradients: Tensor) -> Tensor:
        """The gradients by coordinates (R, D) of gradients by points (R, D)."""
        slopes = torch.zeros_like(gradients)
        for part, lower in zip(self._parts, self._lower, strict=True):
            slopes[:, part] = torch.linalg.solve_triangular(
                lower, gradients[:, part].T, upper=False
            ).T
        return slopes

    def closure(self, of_points: Closure) -> Closure:
        """The objective as a function of coordinates."""

        def of_coordinates(coordinates: Tensor) -> tuple[Tensor, Tensor]:
            values, gradients = of_points(self.points(coordinates))
            return values, self.slopes(gradients)

        return of_coordinates
