"""The Gauss-Newton matrix of gradient matching: JᵀJ, where J = dg/dx.

g(x) holds the parameter gradients of a dummy batch x. Near a match the Hessian of ||g(x) - G||² is
2 JᵀJ; its spread of eigenvalues is what makes matching slow. A column of J is a forward derivative
of a backward pass, many columns at a time; rows are folded together at random (count sketch, Clarkson
and Woodruff 2013), so that J never stands in memory in full.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

ROWS = 2  # sketched rows a column: as a preconditioner JᵀJ need not be exact
COLUMNS = 32  # taken at a time
BLOCK = 512  # rows of a product, whose other triangle is a copy


class _Loss(nn.Module):
    """The loss as a module around the model, whose parameters `functional_call` can then replace."""

    def __init__(self, module: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, moving: Tensor) -> Tensor:
        return self._loss(moving)


def gauss_newton(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    point: Tensor,
    weights: Mapping[str, float],
    seed: int = 0,
) -> Tensor:
    """JᵀJ at `point`, with every tensor's rows of J times the root of its weight.

    Args:
        module: the public model, in which `loss` runs the point.
        loss: the training loss of the dummy batch at a point (D,); a scalar.
        point: (D,).
        weights: the parameters whose gradients are matched, with their weights in the distance.
        seed: seeds the sketch.

    Returns:
        (D, D), symmetric.
    """
    sides = sensitivities(module, loss, point, weights, seed)
    product = torch.empty(len(point), len(point), device=point.device, dtype=point.dtype)
    for first in range(0, len(point), BLOCK):
        rows, later = slice(first, first + BLOCK), slice(first + BLOCK, None)
        product[rows, first:] = sides[rows] @ sides[first:].T
        product[later, rows] = product[rows, later].T
    return product


def sensitivities(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    point: Tensor,
    weights: Mapping[str, float],
    seed: int = 0,
) -> Tensor:
    """Jᵀ, (D, rows): how the weighted gradients move with each variable; rows folded if there are many."""
    fixed = {name: parameter.detach() for name, parameter in module.named_parameters()}
    around = _Loss(module, loss)
    source = torch.Generator().manual_seed(seed)
    count = sum(fixed[name].numel() for name in weights)
    rows = ROWS * len(point)
    place = torch.randint(rows, (count,), generator=source).to(point.device)
    sign = (2 * torch.randint(2, (count,), generator=source) - 1).to(point)

    def gradients(moving: Tensor) -> Tensor:
        def of(chosen: dict[str, Tensor]) -> Tensor:
            named = {f"module.{name}": value for name, value in {**fixed, **chosen}.items()}
            result: Tensor = functional_call(around, named, (moving,))
            return result

        found = grad(of)({name: fixed[name] for name in weights})
        return torch.cat([found[name].flatten() * weight**0.5 for name, weight in weights.items()])

    def column(along: Tensor) -> Tensor:
        moved: Tensor = jvp(gradients, (point,), (along,))[1]
        return moved

    def folded(first: int) -> Tensor:
        along = torch.zeros(min(COLUMNS, len(point) - first), len(point)).to(point)
        along.diagonal(first).fill_(1.0)
        moved: Tensor = vmap(column)(along)  # (columns, count)
        if count <= rows:
            return moved
        return moved.new_zeros(len(moved), rows).index_add_(1, place, moved * sign)

    with warnings.catch_warnings():
        # The first forward derivative imports torch's decompositions, which use torch.jit.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        return torch.cat([folded(first) for first in range(0, len(point), COLUMNS)])
