"""One layer's part of a pursuit: what is left of its rows, and how each candidate fits it.

Rank-aware order-recursive matching pursuit (Davies and Eldar, 2012). With the orthonormal rows U of a
layer's snapshots, the orthonormal span Q of the atoms chosen and the residual R = U (1 - Q Q^T), a
candidate a is scored by the share of what is left of it, outside Q, that lies in the row space of R:

    s(a) = |(R R^T)^(-1/2) R a|^2 / (|a|^2 - |Q^T a|^2)

which is 1 for every atom that belongs as soon as no more than rank R are missing. R a and the length left
follow step by step from the product of each candidate with the newest column of Q alone.

Noise of variance v on the entries of the rows adds N = v tr(M P M) diag(1 / S^2) to R R^T on average, with
the transform M, the projection P away from Q and the singular values S of the rows. Each direction of the
residual's rows then counts by the share of it that is no noise, 1 - n: the eigenvalues n of
(R R^T)^(-1/2) N (R R^T)^(-1/2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.pursuit.grown import Grown


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
        noise: the variance of noise on each entry of the rows.
        options: what counts as nothing.
    """

    def __init__(
        self,
        rows: Tensor,
        transform: Tensor,
        noise: float = 0.0,
        options: ViewOptions | None = None,
    ) -> None:
        self._transform, self._options = transform, options or ViewOptions()
        turned = rows.double() @ transform
        if not noise:
            turned = turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-300)
        _, sizes, right = torch.linalg.svd(turned, full_matrices=False)
        self._variance, self._passed = noise, noise * float(transform.square().sum())
        seen = sizes > max(self._options.rounding * float(sizes[0]), self._passed**0.5)
        self._rows = right[seen]
        self._sizes = sizes[seen]
        self._left = self._rows.clone()
        self._chosen = torch.zeros(0, rows.shape[1]).double()
        self._picked: list[Tensor] = []
        self._atoms = Grown(rows.shape[1])
        self._within = Grown(self.rank)  # R a
        self._length = Grown()  # |a|^2
        self._rest = Grown()  # |a|^2 - |Q^T a|^2

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

    @property
    def noisy(self) -> bool:
        """Whether noise keeps the residual from vanishing."""
        return self._variance > 0

    def add(self, atoms: Tensor) -> None:
        """Take more candidates, (P, d)."""
        turned = (atoms.to(self._transform.dtype) @ self._transform).float()
        inside = turned @ self._chosen.T.float()
        length = turned.square().sum(1)
        self._atoms.add(turned)
        self._within.add(turned @ self._left.T.float())
        self._length.add(length)
        self._rest.add(length - inside.square().sum(1))

    def scores(self) -> Tensor:
        """S of every candidate, (P,); 0 where nothing of it is left."""
        values, vectors = torch.linalg.eigh(self._left @ self._left.T)
        kept = values > self._options.floor**2
        root = vectors[:, kept] / values[kept].sqrt()  # (R R^T)^(-1/2) up to a rotation
        if self._variance:
            noise = self._passed / self._sizes.square()
            shares, turn = torch.linalg.eigh(root.T @ (noise[:, None] * root))
            root = root @ turn * (1 - shares).clamp_min(0).sqrt()
        fit = (self._within.rows @ root.float()).square().sum(1)
        rest, length = self._rest.rows, self._length.rows
        score = (fit / rest.clamp_min(1e-30)).clamp(0, 1)
        return torch.where(rest > self._options.spent * length, score, torch.zeros(()))

    def choose(self, index: int) -> None:
        """Take candidate number `index` among the chosen."""
        atom = self._atoms.rows[index].double()
        self._picked.append(atom)
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        atom = atom - self._chosen.T @ (self._chosen @ atom)
        direction = atom / atom.norm().clamp_min(1e-300)
        along = self._left @ direction
        self._left = self._left - along[:, None] * direction
        self._chosen = torch.cat([self._chosen, direction[None]])
        self._passed -= self._variance * float((self._transform @ direction).square().sum())
        products = self._atoms.rows @ direction.float()
        self._within.rows.addr_(products, along.float(), alpha=-1)
        self._rest.rows.addcmul_(products, products, value=-1)

    def signals(self, kept: Sequence[int]) -> Tensor:
        """How far the coefficients of those of the chosen atoms stand out of noise, (k,).

        With D the duals of the atoms, Y D are their coefficients, and each of a column's has the variance
        v |M D_j|^2. The sum of their squares beside it is of a chi-squared law where an atom does not
        belong, of as many degrees of freedom as there are rows; it is given less its mean.
        """
        atoms = torch.stack([self._picked[index] for index in kept])
        duals = torch.linalg.pinv(atoms)  # (d, k)
        coefficients = (self._sizes[:, None] * self._rows) @ duals  # (m, k)
        variance = self._variance * (self._transform @ duals).square().sum(0)
        signals: Tensor = coefficients.square().sum(0) / variance - self.rank
        return signals

    def weights(self) -> Tensor:
        """How much each chosen atom adds to the rows, as a share of the most, (k,)."""
        atoms = torch.stack(self._picked)
        coefficients = torch.linalg.lstsq(atoms.T, self._rows.T, driver="gelsd").solution  # (k, m)
        sizes: Tensor = coefficients.norm(dim=1) * atoms.norm(dim=1)
        return sizes / sizes.max().clamp_min(1e-300)
