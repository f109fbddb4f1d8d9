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
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class ViewOptions(BaseModel):
    """What counts as nothing.

    Attributes:
        rounding: singular values of the rows below this share of the largest are rounding's. Of fewer
            tokens than rows, in single precision: 3e-6 and less beside 1e-2 and more.
        floor: singular values of the residual of orthonormal rows below this are explained.
        spent: a candidate with less than this share left outside the span tells nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounding: float = Field(default=3e-5, gt=0, lt=1)
    floor: float = Field(default=1e-5, gt=0, lt=1)
    spent: float = Field(default=1e-6, gt=0, lt=1)


class View:
    """The rows of one probe's gradients, and the candidates that may explain them.

    Args:
        rows: (m, d) sums of atoms.
        transform: (d, d) applied to rows and atoms.
        options: what counts as nothing.
    """

    def __init__(self, rows: Tensor, transform: Tensor, options: ViewOptions | None = None) -> None:
        self._transform, self._options = transform, options or ViewOptions()
        turned = rows.double() @ transform
        turned = turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-300)
        _, sizes, right = torch.linalg.svd(turned, full_matrices=False)
        self._rows = right[sizes > self._options.rounding * sizes[0]]
        self._left = self._rows.clone()
        self._chosen = torch.zeros(0, rows.shape[1]).double()
        self._picked: list[Tensor] = []
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
        kept = values > self._options.floor**2
        root = (vectors[:, kept] / values[kept].sqrt()).float()
        fit = (self._within[0] @ root).square().sum(1)
        rest, length = self._rest[0], self._length[0]
        score = (fit / rest.clamp_min(1e-30)).clamp(0, 1)
        return torch.where(rest > self._options.spent * length, score, torch.zeros(()))

    def choose(self, index: int) -> None:
        """Take candidate number `index` among the chosen."""
        self._merge()
        atom = self._atoms[0][index].double()
        self._picked.append(atom)
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        direction = atom / atom.norm().clamp_min(1e-300)
        along = self._left @ direction
        self._left = self._left - along[:, None] * direction
        self._chosen = torch.cat([self._chosen, direction[None]])
        products = self._atoms[0] @ direction.float()
        self._within[0] -= products[:, None] * along.float()
        self._rest[0] -= products.square()

    def weights(self) -> Tensor:
        """How much each chosen atom adds to the rows, as a share of the most, (k,)."""
        atoms = torch.stack(self._picked)
        coefficients = torch.linalg.lstsq(atoms.T, self._rows.T, driver="gelsd").solution  # (k, m)
        sizes: Tensor = coefficients.norm(dim=1) * atoms.norm(dim=1)
        return sizes / sizes.max().clamp_min(1e-300)

    def _merge(self) -> None:
        for pieces in (self._atoms, self._within, self._length, self._rest):
            if len(pieces) > 1:
                pieces[:] = [torch.cat(pieces)]
