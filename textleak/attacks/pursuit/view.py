"""One layer's part of a pursuit: what is left of its rows, and how each candidate fits it.

Rank-aware order-recursive matching pursuit (Davies and Eldar, 2012). With the orthonormal rows U of a
layer's snapshots, the orthonormal span Q of the atoms chosen and the residual R = U (1 - Q Q^T), a
candidate a is scored by the share of what is left of it, outside Q, that lies in the row space of R:

    s(a) = |(R R^T)^(-1/2) R a|^2 / (|a|^2 - |Q^T a|^2)

which is 1 for every atom that belongs as soon as no more than rank R are missing. R a and the length left
follow step by step from the product of each candidate with the newest column of Q alone.
"""

from __future__ import annotations

import torch
from torch import Tensor


class View:
    """The rows of one probe's gradients, and the candidates that may explain them.

    Args:
        rows: (m, d) sums of atoms.
        transform: (d, d) applied to rows and atoms.
        rounding: singular values of the rows below this share of the largest are noise.

    Attributes:
        spent: a candidate with less than this share left outside the span tells nothing.
    """

    spent = 1e-6

    def __init__(self, rows: Tensor, transform: Tensor, rounding: float = 1e-6) -> None:
        self._transform = transform
        turned = rows.double() @ transform
        turned = turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-300)
        _, sizes, right = torch.linalg.svd(turned, full_matrices=False)
        self._rows = right[sizes > rounding * sizes[0]] if len(sizes) else turned
        self._left = self._rows.clone()
        self._chosen = torch.zeros(0, rows.shape[1]).double()
        self._atoms: list[Tensor] = []
        self._within: list[Tensor] = []  # R a
        self._length: list[Tensor] = []  # |a|^2
        self._rest: list[Tensor] = []  # |a|^2 - |Q^T a|^2

    @property
    def rank(self) -> int:
        """How many independent rows there are."""
        return len(self._rows)

    @property
    def width(self) -> int:
        """Dimensions of the atoms."""
        return self._transform.shape[0]

    @property
    def residual(self) -> float:
        """The share of the rows that the chosen atoms leave, root mean square."""
        return float(self._left.norm() / max(self.rank, 1) ** 0.5)

    def add(self, atoms: Tensor) -> None:
        """Take more candidates, (P, d)."""
        turned = (atoms.to(self._transform.dtype) @ self._transform).float()
        inside = turned @ self._chosen.T.float()
        length = turned.square().sum(1)
        self._atoms.append(turned)
        self._within.append(turned @ self._left.T.float())
        self._length.append(length)
        self._rest.append(length - inside.square().sum(1))

    def scores(self) -> Tensor:
        """S of every candidate, (P,); 0 where nothing of it is left."""
        self._merge()
        values, vectors = torch.linalg.eigh(self._left @ self._left.T)
        kept = values > self._floor**2
        root = (vectors[:, kept] / values[kept].sqrt()).float()
        fit = (self._within[0] @ root).square().sum(1)
        rest, length = self._rest[0], self._length[0]
        score = (fit / rest.clamp_min(1e-30)).clamp(0, 1)
        return torch.where(rest > self.spent * length, score, torch.zeros(()))

    _floor = 1e-5

    @property
    def missing(self) -> int:
        """Independent rows that are not explained."""
        return int((torch.linalg.svdvals(self._left) > self._floor).sum())

    def choose(self, index: int) -> None:
        """Take candidate number `index` among the chosen."""
        self._merge()
        atom = self._atoms[0][index].double()
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        direction = atom / atom.norm().clamp_min(1e-300)
        along = self._left @ direction
        self._left = self._left - along[:, None] * direction
        self._chosen = torch.cat([self._chosen, direction[None]])
        products = self._atoms[0] @ direction.float()
        self._within[0] -= products[:, None] * along.float()
        self._rest[0] -= products.square()

    def _merge(self) -> None:
        for pieces in (self._atoms, self._within, self._length, self._rest):
            if len(pieces) > 1:
                pieces[:] = [torch.cat(pieces)]
