"""A change of variables in which a quadratic model of the objective is round."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.optim.lbfgs import Closure


class RoundCoordinates:
    """Points x = origin + L⁻ᵀ y, where the metric is L Lᵀ: in y the metric is the identity.

    L-BFGS minimises f(x(y)) in as many steps as the metric is wrong, not as the problem is long and
    narrow (preconditioning, Nocedal and Wright 2006, section 5.1).

    Args:
        origin: (1, D), where y = 0.
        metric: (D, D), positive definite.
    """

    def __init__(self, origin: Tensor, metric: Tensor) -> None:
        self._origin = origin.detach().clone()
        self._lower = torch.linalg.cholesky(metric)
        self._upper = self._lower.T.contiguous()

    def points(self, coordinates: Tensor) -> Tensor:
        """The points (R, D) at coordinates (R, D)."""
        return self._origin + _solved(self._upper, coordinates, upper=True)

    def slopes(self, gradients: Tensor) -> Tensor:
        """The gradients by coordinates (R, D) of gradients by points (R, D)."""
        return _solved(self._lower, gradients, upper=False)

    def closure(self, of_points: Closure) -> Closure:
        """The objective as a function of coordinates."""

        def of_coordinates(coordinates: Tensor) -> tuple[Tensor, Tensor]:
            values, gradients = of_points(self.points(coordinates))
            return values, self.slopes(gradients)

        return of_coordinates


def _solved(triangle: Tensor, rows: Tensor, *, upper: bool) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(triangle, rows.T, upper=upper)
    return solved.T
