"""The curvature pairs of many independent L-BFGS runs, and the directions that they give."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-30


class CurvatureHistory:
    """Up to m pairs (s, y) of R rows each, with the products that the directions need.

    The direction comes from the compact form of Byrd, Nocedal and Schnabel (1994, theorem 2.2):
    small triangular systems in float64, and two passes over the stored pairs, one for their products
    with the gradient and one to combine them. The pairs are held in float32: they only shape the
    direction, and reading them is most of the cost at small models.

    Args:
        gradients: (R, D) at the starting points.
        size: m, the pairs kept a row.

    Attributes:
        filled: (R,) pairs stored now.
    """

    def __init__(self, gradients: Tensor, size: int) -> None:
        rows, width = gradients.shape
        self.size = size
        # All s of a row, then all its y.
        self._pairs = gradients.new_zeros(rows, 2 * size, width, dtype=torch.float32)
        self._sy = gradients.new_zeros(rows, size, size, dtype=torch.float64)
        self._yy = torch.zeros_like(self._sy)
        self._with_gradient = gradients.new_zeros(rows, 2 * size, dtype=torch.float64)
        self._gradients = gradients
        self._next = torch.zeros(rows, dtype=torch.long, device=gradients.device)
        self.filled = torch.zeros_like(self._next)

    def move(self, moved: Tensor, step: Tensor, gradients: Tensor) -> None:
        """Take rows to new points, and keep their pairs in place of the oldest ones when full.

        Args:
            moved: (R,) which rows; a pair without positive curvature is left out.
            step: (R, D) s of each row.
            gradients: (R, D) at the points where the rows stand now.
        """
        turn = gradients - self._gradients
        convex = (step * turn).sum(1) > 1e-10 * (turn * turn).sum(1).clamp_min(_TINY)
        with_gradient, with_step = self._products(gradients), self._products(step)  # (R, 2m)
        with_turn = with_gradient - self._with_gradient
        self._with_gradient = torch.where(moved[:, None], with_gradient, self._with_gradient)
        self._gradients = torch.where(moved[:, None], gradients, self._gradients)
        rows = (moved & convex).nonzero().flatten()
        if len(rows):
            self._store(rows, step[rows], turn[rows], with_step[rows], with_turn[rows])

    def _products(self, vectors: Tensor) -> Tensor:
        """Of every pair with its row's vector, (R, 2m)."""
        # Row by row: the batched product with one column is ten times slower on the CPU.
        rows = zip(self._pairs, vectors.to(self._pairs), strict=True)
        return torch.stack([pairs @ vector for pairs, vector in rows]).double()

    def _store(
        self, rows: Tensor, step: Tensor, turn: Tensor, with_step: Tensor, with_turn: Tensor
    ) -> None:
        at, size = self._next[rows], self.size
        self._pairs[rows, at] = step.to(self._pairs)
        self._pairs[rows, size + at] = turn.to(self._pairs)
        self._sy[rows, :, at] = with_turn[:, :size]
        self._sy[rows, at, :] = with_step[:, size:]
        self._yy[rows, :, at] = with_turn[:, size:]
        self._yy[rows, at, :] = with_turn[:, size:]
        self._sy[rows, at, at] = (step * turn).sum(1).double()
        self._yy[rows, at, at] = (turn * turn).sum(1).double()
        here = self._gradients[rows]
        self._with_gradient[rows, at] = (step * here).sum(1).double()
        self._with_gradient[rows, size + at] = (turn * here).sum(1).double()
        self._next[rows] = (at + 1) % size
        self.filled[rows] = (self.filled[rows] + 1).clamp_max(size)

    def forget(self, forgetting: Tensor) -> None:
        """Drop all pairs of the rows in `forgetting`, (R,)."""
        rows = forgetting.nonzero().flatten()
        if len(rows) == 0:
            return
        self._pairs[rows], self._with_gradient[rows] = 0.0, 0.0
        self._sy[rows], self._yy[rows] = 0.0, 0.0
        self._next[rows], self.filled[rows] = 0, 0

    def directions(self) -> Tensor:
        """-H g of every row, (R, D), where H is the inverse Hessian that its pairs stand for."""
        gradients, size = self._gradients, self.size
        if not bool(self.filled.any()):
            return -gradients
        order = self._oldest_first()  # (R, m)
        sy, yy = _reorder(self._sy, order), _reorder(self._yy, order)
        with_s = self._with_gradient[:, :size].gather(1, order)
        with_y = self._with_gradient[:, size:].gather(1, order)
        diagonal = sy.diagonal(dim1=1, dim2=2)
        newest = (self.filled - 1).clamp_min(0)[:, None]
        # H starts from s·y / y·y of the newest pair, times the identity.
        shortness = yy.diagonal(dim1=1, dim2=2).gather(1, newest).clamp_min(_TINY)
        scale = diagonal.gather(1, newest) / shortness  # (R, 1)
        scale = torch.where(self.filled[:, None] > 0, scale, 1.0)
        # Empty slots are zero pairs; a unit diagonal keeps them out of the triangular systems.
        empty = torch.arange(size, device=order.device)[None] >= self.filled[:, None]
        upper = sy.triu() + torch.diag_embed(empty.to(sy.dtype))
        solved = torch.linalg.solve_triangular(upper, with_s[..., None], upper=True)  # (R, m, 1)
        right = diagonal[..., None] * solved + scale[..., None] * (yy @ solved - with_y[..., None])
        of_s = torch.linalg.solve_triangular(upper.mT, right, upper=False)[..., 0]
        of_y = -scale * solved[..., 0]
        back = order.argsort(1)
        weights = torch.cat([of_s.gather(1, back), of_y.gather(1, back)], dim=1)  # (R, 2m)
        combined = torch.bmm(weights[:, None].to(self._pairs), self._pairs)[:, 0]
        return -(scale.to(gradients) * gradients + combined.to(gradients))

    def _oldest_first(self) -> Tensor:
        """The slots of each row in the order of time, (R, m); the compact form is triangular in it."""
        slots = torch.arange(self.size, device=self._next.device)
        oldest = torch.where(self.filled == self.size, self._next, 0)
        return (oldest[:, None] + slots) % self.size


def _reorder(gram: Tensor, order: Tensor) -> Tensor:
    """Rows and columns of (R, m, m) in the given order (R, m)."""
    rows = torch.arange(len(gram), device=gram.device)[:, None, None]
    return gram[rows, order[:, :, None], order[:, None, :]]
