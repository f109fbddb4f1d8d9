"""Coordinates in which a long and narrow quadratic is round."""

from __future__ import annotations

import torch
from torch import Tensor

from textleak.optim import BatchedLBFGS
from textleak.optim.coordinates import RoundCoordinates

SCALES = torch.logspace(0, 8, 12, dtype=torch.float64)


def narrow(points: Tensor) -> tuple[Tensor, Tensor]:
    """A quadratic with condition number 10^8, minimum at 1, with its gradient."""
    return 0.5 * (SCALES * (points - 1) ** 2).sum(1), SCALES * (points - 1)


def test_a_narrow_quadratic_takes_no_more_steps_than_it_has_axes() -> None:
    start = torch.zeros(1, 12, dtype=torch.float64)
    coordinates = RoundCoordinates(start, torch.diag(SCALES))
    search = BatchedLBFGS(torch.zeros_like(start), coordinates.closure(narrow))
    for _ in range(len(SCALES)):
        search.step()
    torch.testing.assert_close(coordinates.points(search.points), torch.ones_like(start))


def test_slopes_follow_the_chain_rule() -> None:
    torch.manual_seed(0)
    root = torch.randn(10, 10, dtype=torch.float64)
    metric = root @ root.T + torch.eye(10, dtype=torch.float64)
    coordinates = RoundCoordinates(torch.randn(1, 10).double(), metric)
    places, gradients = torch.randn(2, 3, 10, dtype=torch.float64)
    points = coordinates.points(places)
    ahead = coordinates.points(places + 1e-3 * torch.eye(10)[:3].double())
    along = ((ahead - points) * gradients).sum(1) / 1e-3
    torch.testing.assert_close(coordinates.slopes(gradients)[:, :3].diagonal(), along)
