"""The curvature pairs of many independent L-BFGS runs, and the directions that they give."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-30


class CurvatureHistory:
    """Up to m pairs (s, y) of R rows each, with the products that the directions need.

    The direction comes from the compact form of Byrd, Nocedal and Schnabel (1994, theorem 2.2): two
    products with the stored pairs in place of the usual two loops over them, and small triangular
    systems in float64.

    Args:
        like: (R, D), for shape, type and device.
        size: m, the pairs kept a row.

    Attributes:
        filled: (R,) pairs stored now.
    """

    def __init__(self, like: Tensor, size: int) -> None:
        rows, width = like.shape
        self.size = size
        self._moves = like.new_zeros(rows, size, width)  # s
        self._turns = like.new_zeros(rows, size, width)  # y
        self._sy = like.new_zeros(rows, size, size, dtype=torch.float64)
        self._yy = like.new_zeros(rows, size, size, dtype=torch.float64)
        self._next = torch.zeros(rows, dtype=torch.long, device=like.device)
        self.filled = torch.zeros_like(self._next)

    def store(self, storing: Tensor, move: Tensor, turn: Tensor) -> None:
        """Keep the pairs of the rows in `storing`, in place of their oldest ones when full.

        Args:
            storing: (R,) which rows; a pair without positive curvature is left out.
            move: (R, D) s, the step taken.
            turn: (R, D) y, the gradient's change.
        """
        convex = (move * turn).sum(1) > 1e-10 * (turn * turn).sum(1).clamp_min(_TINY)
        rows = (storing & convex).nonzero().flatten()
        if len(rows) == 0:
            return
        at = self._next[rows]
        self._moves[rows, at] = move[rows]
        self._turns[rows, at] = turn[rows]
        # Products of every row, also of those that store nothing: picking rows copies the history.
        with_moves = torch.bmm(self._moves, turn[..., None])[rows, :, 0].double()  # (A, m)
        both = torch.stack([move, turn], dim=2)  # (R, D, 2)
        with_turns, between = torch.bmm(self._turns, both)[rows].double().unbind(2)
        self._sy[rows, :, at] = with_moves
        self._sy[rows, at, :] = with_turns
        self._yy[rows, :, at] = between
        self._yy[rows, at, :] = between
        self._next[rows] = (at + 1) % self.size
        self.filled[rows] = (self.filled[rows] + 1).clamp_max(self.size)

    def forget(self, forgetting: Tensor) -> None:
        """Drop all pairs of the rows in `forgetting`, (R,)."""
        rows = forgetting.nonzero().flatten()
        if len(rows) == 0:
            return
        self._moves[rows], self._turns[rows] = 0.0, 0.0
        self._sy[rows], self._yy[rows] = 0.0, 0.0
        self._next[rows], self.filled[rows] = 0, 0

    def directions(self, gradients: Tensor) -> Tensor:
        """-H g of every row, (R, D), where H is the inverse Hessian that its pairs stand for."""
        if not bool(self.filled.any()):
            return -gradients
        order = self._oldest_first()  # (R, m)
        sy, yy = _reorder(self._sy, order), _reorder(self._yy, order)
        with_s = torch.bmm(self._moves, gradients[..., None])[..., 0].double().gather(1, order)
        with_y = torch.bmm(self._turns, gradients[..., None])[..., 0].double().gather(1, order)
        diagonal = sy.diagonal(dim1=1, dim2=2)
        newest = (self.filled - 1).clamp_min(0)[:, None]
        # H starts from s·y / y·y of the newest pair, times the identity.
        shortness = yy.diagonal(dim1=1, dim2=2).gather(1, newest).clamp_min(_TINY)
        scale = diagonal.gather(1, newest) / shortness  # (R, 1)
        scale = torch.where(self.filled[:, None] > 0, scale, 1.0)
        # Empty slots are zero pairs; a unit diagonal keeps them out of the triangular systems.
        empty = torch.arange(self.size, device=order.device)[None] >= self.filled[:, None]
        upper = sy.triu() + torch.diag_embed(empty.to(sy.dtype))
        solved = torch.linalg.solve_triangular(upper, with_s[..., None], upper=True)  # (R, m, 1)
        right = diagonal[..., None] * solved + scale[..., None] * (yy @ solved - with_y[..., None])
        of_s = torch.linalg.solve_triangular(upper.mT, right, upper=False)[..., 0]
        of_y = -scale * solved[..., 0]
        back = order.argsort(1)
        of_s, of_y = of_s.gather(1, back).to(gradients), of_y.gather(1, back).to(gradients)
        product = scale.to(gradients) * gradients
        product = product + torch.bmm(of_s[:, None], self._moves)[:, 0]
        return -(product + torch.bmm(of_y[:, None], self._turns)[:, 0])

    def _oldest_first(self) -> Tensor:
        """The slots of each row in the order of time, (R, m); the compact form is triangular in it."""
        slots = torch.arange(self.size, device=self._next.device)
        oldest = torch.where(self.filled == self.size, self._next, 0)
        return (oldest[:, None] + slots) % self.size


def _reorder(gram: Tensor, order: Tensor) -> Tensor:
    """Rows and columns of (R, m, m) in the given order (R, m)."""
    rows = torch.arange(len(gram), device=gram.device)[:, None, None]
    return gram[rows, order[:, :, None], order[:, None, :]]
