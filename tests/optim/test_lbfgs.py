"""Batched L-BFGS against scipy, and the independence of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der
from torch import Tensor

from textleak.optim import BatchedLBFGS, LBFGSOptions

WIDTH = 10


def rosenbrock(points: Tensor) -> Tensor:
    """Each row's Rosenbrock function, (R, D) to (R,)."""
    left, right = points[:, :-1], points[:, 1:]
    return (100 * (right - left**2) ** 2 + (1 - left) ** 2).sum(1)


def quadratic(points: Tensor) -> Tensor:
    """A convex quadratic with condition number 10^4, minimum at 1."""
    scales = torch.logspace(0, 4, points.shape[1], dtype=points.dtype)
    return 0.5 * (scales * (points - 1) ** 2).sum(1)


def with_gradients(
    function: Callable[[Tensor], Tensor],
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def closure(points: Tensor) -> tuple[Tensor, Tensor]:
        leaf = points.detach().requires_grad_()
        values = function(leaf)
        return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]

    return closure


def run(optimiser: BatchedLBFGS, evaluations: int) -> BatchedLBFGS:
    for _ in range(evaluations):
        optimiser.step()
    return optimiser


@pytest.mark.parametrize("function", [rosenbrock, quadratic])
def test_it_needs_no_more_than_twice_the_evaluations_of_scipy(
    function: Callable[[Tensor], Tensor],
) -> None:
    generator = torch.Generator().manual_seed(0)
    starts = 2 * torch.rand(5, WIDTH, generator=generator, dtype=torch.float64)
    closure = with_gradients(function)

    def single(point: Any) -> tuple[float, Any]:
        values, slopes = closure(torch.from_numpy(point)[None])
        return float(values), slopes[0].numpy()

    counts = []
    for start in starts:
        options: Any = {"maxcor": 100, "ftol": 0.0, "gtol": 1e-9, "maxiter": 1000}
        reference = minimize(single, start.numpy(), jac=True, method="L-BFGS-B", options=options)
        assert reference.fun < 1e-12
        counts.append(reference.nfev)
    optimiser = run(BatchedLBFGS(starts, closure), 2 * max(counts))
    assert optimiser.values.max() < 1e-12
    torch.testing.assert_close(optimiser.points, torch.ones_like(starts), atol=1e-5, rtol=0)


def test_the_closure_of_the_reference_is_scipys() -> None:
    point = np.linspace(-1, 2, WIDTH)
    values, slopes = with_gradients(rosenbrock)(torch.from_numpy(point)[None])
    assert float(values) == pytest.approx(rosen(point))
    np.testing.assert_allclose(slopes[0].numpy(), rosen_der(point))


def test_a_row_goes_the_same_way_in_any_company() -> None:
    """To the last digit: it is the company that changes, not the shapes that kernels are chosen by."""
    row, *others = torch.tensor([[-1.2, 1.0], [3.0, -2.0], [0.0, 0.0], [1.0, 1.0]]).double()
    closure = with_gradients(rosenbrock)
    first, second = (
        run(BatchedLBFGS(torch.stack([row, other, others[0]]), closure), 25) for other in others[1:]
    )
    assert torch.equal(first.points[0], second.points[0])
    assert first.steps[0] == second.steps[0]
    assert not torch.equal(first.points[1], second.points[1])


def test_a_row_that_is_not_finite_leaves_the_others_alone() -> None:
    def broken(points: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = with_gradients(quadratic)(points)
        values[1], slopes[1] = torch.nan, torch.nan
        return values, slopes

    starts = torch.zeros(2, 4, dtype=torch.float64)
    optimiser = run(BatchedLBFGS(starts, broken), 80)
    assert optimiser.values[0] < 1e-12
    assert torch.equal(optimiser.points[1], starts[1])


def test_values_never_rise_and_a_short_history_still_descends() -> None:
    starts = torch.full((2, WIDTH), -1.5, dtype=torch.float64)
    starts[1, 0] = 4.0
    optimiser = BatchedLBFGS(starts, with_gradients(rosenbrock), LBFGSOptions(history=3))
    before = optimiser.values
    for _ in range(60):
        optimiser.step()
        assert (optimiser.values <= before).all()
        before = optimiser.values
    assert (optimiser.steps <= optimiser.evaluations).all()


def test_a_row_at_its_minimum_stalls() -> None:
    options = LBFGSOptions(trials=3)
    optimiser = BatchedLBFGS(torch.ones(1, 4), with_gradients(quadratic), options)
    assert bool(run(optimiser, 8).stalled.all())
