"""How the gradient of a dummy batch moves with the batch: J = dg/dx, by columns and folded.

g(x) holds the parameter gradients of a dummy batch x. A column of J is a forward derivative of a
backward pass, many columns at a time, and runs the one example that its variable belongs to; rows are folded together at random (count sketch, Clarkson and
Woodruff 2013), so that J never stands in memory in full. Folding keeps what solves J d = r where a
solution exists. Near a match the Hessian of ||g(x) - G||² is 2 JᵀJ; the spread of its eigenvalues is
what makes matching slow.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from textleak.core.randomness import stream
from textleak.gradients.plain import parameter_gradients

ROWS = 2  # sketched rows a column
COLUMNS = 32  # taken at a time
BLOCK = 512  # rows of a product, whose other triangle is a copy


@dataclass(frozen=True)
class Share:
    """What one example adds to the loss of a dummy batch.

    Attributes:
        places: of the variables that it depends on, in the point.
        loss: its share at a point (D,), a scalar; the shares' sum is the batch's training loss.
    """

    places: Tensor
    loss: Callable[[Tensor], Tensor]


class FoldedGradients:
    """The weighted parameter gradients of a dummy batch as one vector, its rows folded if there are many.

    Args:
        module: the public model, in which the losses run a point.
        shares: of the dummy batch's examples; each variable belongs to one.
        weights: the parameters whose gradients are matched, with their weights in the squared distance.
        seed: seeds the folding; equal seeds fold alike.
    """

    def __init__(
        self,
        module: nn.Module,
        shares: Sequence[Share],
        weights: Mapping[str, float],
        seed: int = 0,
    ) -> None:
        self._module, self._shares, self._weights = module, shares, weights
        self._fixed = {name: value.detach() for name, value in module.named_parameters()}
        size = sum(len(share.places) for share in shares)
        source = stream(seed, "curvature", "folding")
        self._count = sum(self._fixed[name].numel() for name in weights)
        self._rows = ROWS * size if self._count > ROWS * size else 0
        self._place = source.below(self._rows or 1, self._count)
        self._sign = 2 * source.below(2, self._count) - 1

    def fold(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Gradients by name as the folded vector, (rows,)."""
        return self._fold(self._weighted(gradients))

    def at(self, point: Tensor) -> Tensor:
        """The gradients at `point` (D,), folded, (rows,)."""

        def loss() -> Tensor:
            return torch.stack([share.loss(point) for share in self._shares]).sum()

        return self.fold(parameter_gradients(self._module, loss, list(self._weights)))

    def sensitivities(self, point: Tensor) -> Tensor:
        """Jᵀ at `point` (D,): how the folded vector moves with each variable, (D, rows)."""
        moved = point.new_empty(len(point), self._rows or self._count)
        with warnings.catch_warnings():
            # The first forward derivative imports torch's decompositions, which use torch.jit.
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            for share in self._shares:
                column = self._column(share, point)
                for places in torch.split(share.places, COLUMNS):
                    along = torch.zeros(len(places), len(point)).to(point)
                    along[torch.arange(len(places)), places] = 1.0
                    moved[places] = self._fold(vmap(column)(along))
        return moved

    def _column(self, share: Share, point: Tensor) -> Callable[[Tensor], Tensor]:
        """Directions (D,) to how one example's gradients move along them, (all rows,)."""
        around = _Loss(self._module, share.loss)

        def gradients(moving: Tensor) -> Tensor:
            def of(chosen: dict[str, Tensor]) -> Tensor:
                named = {f"module.{name}": v for name, v in {**self._fixed, **chosen}.items()}
                result: Tensor = functional_call(around, named, (moving,))
                return result

            return self._weighted(grad(of)({name: self._fixed[name] for name in self._weights}))

        def column(along: Tensor) -> Tensor:
            moved: Tensor = jvp(gradients, (point,), (along,))[1]
            return moved

        return column

    def _weighted(self, gradients: Mapping[str, Tensor]) -> Tensor:
        parts = [gradients[name].flatten() * w**0.5 for name, w in self._weights.items()]
        return torch.cat(parts)

    def _fold(self, values: Tensor) -> Tensor:
        """(..., all rows) to (..., rows)."""
        if not self._rows:
            return values
        place, sign = self._place.to(values.device), self._sign.to(values)
        return values.new_zeros(*values.shape[:-1], self._rows).index_add_(-1, place, values * sign)


class _Loss(nn.Module):
    """The loss as a module around the model, whose parameters `functional_call` can then replace."""

    def __init__(self, module: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, moving: Tensor) -> Tensor:
        return self._loss(moving)


def gauss_newton(folded: FoldedGradients, point: Tensor) -> Tensor:
    """JᵀJ at `point` (D,), every tensor's rows of J times the root of its weight: (D, D), symmetric."""
    sides = folded.sensitivities(point)
    product = torch.empty(len(point), len(point), device=point.device, dtype=point.dtype)
    for first in range(0, len(point), BLOCK):
        rows, later = slice(first, first + BLOCK), slice(first + BLOCK, None)
        product[rows, first:] = sides[rows] @ sides[first:].T
        product[later, rows] = product[rows, later].T
    return product
