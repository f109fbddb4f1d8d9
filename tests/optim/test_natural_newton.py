"""Gauss-Newton by the natural level function: known solutions, valleys that bend."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from textleak.optim.natural_newton import DampedInverse, NaturalGaussNewton


def solve(residual: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> NaturalGaussNewton:
    search = NaturalGaussNewton(start, residual, lambda at: jacobian(residual, at))
    for _ in range(steps):
        search.step()
    return search


def test_damped_inverse_is_tikhonovs() -> None:
    torch.manual_seed(0)
    matrix, residual = torch.randn(9, 4).double(), torch.randn(9).double()
    expected = -torch.linalg.solve(
        matrix.T @ matrix + 0.09 * torch.eye(4).double(), matrix.T @ residual
    )
    torch.testing.assert_close(DampedInverse(matrix, 0.3)(residual), expected)


@pytest.mark.parametrize("steepness", [10.0, 1e4, 1e7])
def test_a_curved_valley_is_followed_whatever_its_steepness(steepness: float) -> None:
    def rosenbrock(at: Tensor) -> Tensor:
        return torch.stack([steepness * (at[1] - at[0] ** 2), 1 - at[0]])

    start = torch.tensor([-1.2, 1.0]).double()
    search = solve(rosenbrock, start, steps=25)
    torch.testing.assert_close(search.point, torch.ones(2).double(), rtol=0, atol=1e-5)
    assert torch.equal(start, torch.tensor([-1.2, 1.0]).double())


def test_an_ill_conditioned_network_is_inverted() -> None:
    torch.manual_seed(1)
    first, second = torch.randn(12, 6).double(), torch.randn(40, 12).double()
    scales = torch.logspace(0, -5, 40).double()

    def outputs(at: Tensor) -> Tensor:
        return scales * (second @ torch.sigmoid(first @ at))

    truth = torch.rand(6).double()
    search = solve(lambda at: outputs(at) - outputs(truth), torch.full((6,), 0.5).double(), 20)
    torch.testing.assert_close(search.point, truth, rtol=0, atol=1e-6)


def test_it_says_that_it_stands_still() -> None:
    def no_solution(at: Tensor) -> Tensor:
        return torch.stack([at[0] * 0 + 1, at[0]])

    search = solve(no_solution, torch.zeros(1).double(), steps=1)
    assert search.stalled
    assert search.point == 0
