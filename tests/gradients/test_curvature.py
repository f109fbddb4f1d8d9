"""The Gauss-Newton matrix against a Jacobian formed by autograd."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textleak.gradients import curvature, parameter_gradients
from textleak.gradients.curvature import FoldedGradients, Share, gauss_newton

WEIGHTS = {"0.weight": 1.0, "3.weight": 0.5, "3.bias": 4.0}


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 3))
    return nn.Sequential(*layers).double().eval()


LABELS = torch.tensor([1, 2])
SIZE = 32  # two pictures of 4x4


def loss_of(module: nn.Module, picture: int, point: Tensor) -> Tensor:
    logits = module(point.reshape(2, 1, 4, 4)[picture : picture + 1])
    return F.cross_entropy(logits, LABELS[picture : picture + 1]) / 2


def loss_in(module: nn.Module, point: Tensor) -> Tensor:
    return F.cross_entropy(module(point.reshape(2, 1, 4, 4)), LABELS)


def folded(module: nn.Module, seed: int = 0) -> FoldedGradients:
    places = torch.arange(SIZE).chunk(2)
    shares = [Share(places[i], partial(loss_of, module, i)) for i in range(2)]
    return FoldedGradients(module, shares, WEIGHTS, seed)


def slow(module: nn.Module, point: Tensor) -> Tensor:
    """JᵀJ with a column of J from central differences."""
    columns = []
    for index in range(len(point)):
        step = 1e-5 * F.one_hot(torch.tensor(index), len(point))
        ahead, behind = (
            parameter_gradients(module, lambda at=at: loss_in(module, at), list(WEIGHTS))  # type: ignore[misc]
            for at in (point + step, point - step)
        )
        moved = [
            WEIGHTS[name] ** 0.5 * (ahead[name] - behind[name]).flatten() / 2e-5 for name in WEIGHTS
        ]
        columns.append(torch.cat(moved))
    columns_of_jacobian = torch.stack(columns)
    return columns_of_jacobian @ columns_of_jacobian.T


def test_it_is_the_product_of_the_jacobian(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curvature, "COLUMNS", 5)
    monkeypatch.setattr(curvature, "BLOCK", 7)
    monkeypatch.setattr(curvature, "ROWS", 100)  # nothing is folded
    point = torch.rand(SIZE, dtype=torch.float64)
    found = gauss_newton(folded(module), point)
    torch.testing.assert_close(found, slow(module, point), rtol=1e-6, atol=1e-12)
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_folded_rows_keep_the_product_on_average(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curvature, "ROWS", 1)
    point = torch.rand(SIZE, dtype=torch.float64)
    drawn = [gauss_newton(folded(module, seed), point) for seed in range(100)]
    exact = slow(module, point)
    assert (torch.stack(drawn).mean(0) - exact).norm() < 0.2 * exact.norm()
    assert not torch.allclose(drawn[0], exact)


@pytest.mark.parametrize("rows", [1, 100])
def test_sensitivities_are_the_derivatives_of_the_folded_gradients(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(curvature, "ROWS", rows)
    point = torch.rand(SIZE, dtype=torch.float64)
    gradients = folded(module, seed=2)
    moved = gradients.sensitivities(point)
    for index in range(SIZE):
        step = 1e-5 * F.one_hot(torch.tensor(index), SIZE)
        expected = (gradients.at(point + step) - gradients.at(point - step)) / 2e-5
        torch.testing.assert_close(moved[index], expected, rtol=1e-6, atol=1e-9)


def test_gradients_by_name_fold_to_the_vector_of_the_point(module: nn.Module) -> None:
    point = torch.rand(SIZE, dtype=torch.float64)
    named = parameter_gradients(module, lambda: loss_in(module, point))
    gradients = folded(module)
    torch.testing.assert_close(gradients.fold(named), gradients.at(point))
