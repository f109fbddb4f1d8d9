"""Inner product and norm of a layer's gradient in one step of autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _ThinStatistics(torch.autograd.Function):
    """<g, G> and ||g||² for g = leftᵀ right and G = rows columnsᵀ.

    Written out because every layer needs it at every evaluation: as single operations it would be a
    dozen small steps forward and as many back.
    """

    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, rows: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor]:
        low, high = left @ rows, right @ columns  # (R, n, k)
        gram, other = left @ left.mT, right @ right.mT  # (R, n, n)
        ctx.save_for_backward(left, right, rows, columns, low, high, gram, other)
        return (low * high).sum((1, 2)), (gram * other).sum((1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dot: Tensor, squared: Tensor) -> tuple[Tensor | None, ...]:
        left, right, rows, columns, low, high, gram, other = ctx.saved_tensors
        dot, twice = dot.view(-1, 1, 1), 2 * squared.view(-1, 1, 1)
        to_left = (high * dot) @ rows.mT
        to_left.baddbmm_(other * twice, left)
        to_right = (low * dot) @ columns.mT
        to_right.baddbmm_(gram * twice, right)
        return to_left, to_right, None, None


def thin_statistics(
    left: Tensor, right: Tensor, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """<g, G> and ||g||² for g = leftᵀ right and G = rows columnsᵀ.

    Args:
        left: shape (R, n, rows of g).
        right: shape (R, n, columns of g).
        rows: shape (rows of g, k), a constant.
        columns: shape (columns of g, k), a constant.

    Returns:
        Two tensors of shape (R,), differentiable once with respect to `left` and `right`.
    """
    return _statistics(left, right, rows, columns)


_statistics: Callable[..., tuple[Tensor, Tensor]] = _ThinStatistics.apply
