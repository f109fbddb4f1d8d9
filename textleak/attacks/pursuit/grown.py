"""A tensor that grows by rows without being copied each time."""

from __future__ import annotations

import torch
from torch import Tensor


class Grown:
    """Rows (n, *shape) that more are added to; room is doubled when it runs out.

    >>> table = Grown(2)
    >>> table.add(torch.ones(3, 2))
    >>> table.rows.shape
    torch.Size([3, 2])
    """

    def __init__(self, *shape: int) -> None:
        self._held, self._count = torch.zeros(0, *shape), 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Tensor:
        """What was added, in order; a view, to be changed in place."""
        return self._held[: self._count]

    def add(self, rows: Tensor) -> None:
        """Add rows (k, *shape) at the end."""
        count = self._count + len(rows)
        if count > len(self._held):
            room = count if not self._count else max(count, 2 * len(self._held))
            held = self._held.new_empty(room, *self._held.shape[1:])
            held[: self._count] = self.rows
            self._held = held
        self._held[self._count : count] = rows
        self._count = count
