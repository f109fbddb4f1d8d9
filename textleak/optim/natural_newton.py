"""Gauss-Newton that judges a step by what the next one would be: for long, narrow, curved valleys.

Where a residual is a thousand times steeper in some directions than in others and the steep ones
bend, every useful step along the flat ones makes the sum of squares larger, and a method that wants
it smaller creeps. The length of the next Newton correction, taken with the same matrix, tells
whether the step came nearer to the solution, and does not depend on how the residual is scaled: the
natural level function (Deuflhard, Newton Methods for Nonlinear Problems, 2004, sections 3.3 and 4.3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FRACTIONS = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)  # of a correction that are tried, in this order
CORRECTIONS = 10  # with one matrix, at most
DONE = 0.1  # of the first correction's length: what is left needs a new matrix
START = 3e-3  # the first damping, of the matrix's norm
HIDDEN = 0.5  # of a correction's length that it would leave of itself: the damping is too high
TRIES = 12  # dampings tried before the search stands still


class NaturalGaussNewton:
    """Solves residual(x) = 0 in the least-squares sense, from a matrix of derivatives a step.

    Args:
        start: (D,).
        residual: points (D,) to residuals (m,).
        jacobian: points (D,) to derivatives (m, D); half as many digits as the residual's will do.

    Attributes:
        point: (D,) where the search stands.
        stalled: no damping gave a step that came nearer.
    """

    def __init__(
        self,
        start: Tensor,
        residual: Callable[[Tensor], Tensor],
        jacobian: Callable[[Tensor], Tensor],
    ) -> None:
        self.point = start.detach().clone()
        self.stalled = False
        self._of, self._jacobian = residual, jacobian
        self._residual = residual(self.point)
        self._damping: float | None = None

    def step(self) -> None:
        """Take the derivatives anew, and as many corrections as they are good for."""
        matrix = self._jacobian(self.point)
        damping = self._damping or START * float(matrix.norm())
        lower = True  # until a damping turns out too low
        for _ in range(TRIES):
            inverse = DampedInverse(matrix, damping)
            if lower and inverse.hides(self._residual):
                damping /= 4
                continue
            first, left = self._walk(inverse)
            if first:
                self._damping = damping * _change(first, left)
                return
            damping, lower = 4 * damping, False
        self._damping, self.stalled = damping, True

    def _walk(self, inverse: DampedInverse) -> tuple[float, float]:
        """Correct until it does not pay: the first fraction taken, and the correction that is left."""
        correction = inverse(self._residual)
        begun = float(correction.norm())
        first = 0.0
        for _ in range(CORRECTIONS):
            found = self._nearer(inverse, correction)
            if found is None:
                break
            fraction, self.point, self._residual, correction = found
            first = first or fraction
            if float(correction.norm()) < DONE * begun:
                break
        return first, float(correction.norm()) / max(begun, torch.finfo(correction.dtype).tiny)

    def _nearer(
        self, inverse: DampedInverse, correction: Tensor
    ) -> tuple[float, Tensor, Tensor, Tensor] | None:
        """The longest fraction of `correction` after which the next one is shorter by its share."""
        length = float(correction.norm())
        promised = length - float(inverse.after(self._residual, correction).norm())
        for fraction in FRACTIONS:
            point = self.point + fraction * correction
            residual = self._of(point)
            following = inverse(residual)
            if float(following.norm()) < length - fraction / 4 * promised:
                return fraction, point, residual, following
        return None


class DampedInverse:
    """Residuals (m,) to corrections -(JᵀJ + damping²)⁻¹ Jᵀ residual, (D,).

    Args:
        matrix: J, (m, D).
        damping: singular values below it are as good as left out.
    """

    def __init__(self, matrix: Tensor, damping: float) -> None:
        side = matrix.shape[1]
        below = damping * torch.eye(side, dtype=matrix.dtype, device=matrix.device)
        self._matrix = matrix
        # By QR: the singular values of JᵀJ are squares, and lose half of their digits.
        self._upper = torch.linalg.qr(torch.cat([matrix, below]), mode="r").R

    def __call__(self, residual: Tensor) -> Tensor:
        """The correction for a residual."""
        right = (self._matrix.T @ residual)[:, None]
        half = torch.linalg.solve_triangular(self._upper.T, right, upper=False)
        found: Tensor = -torch.linalg.solve_triangular(self._upper, half, upper=True)[:, 0]
        return found

    def after(self, residual: Tensor, correction: Tensor) -> Tensor:
        """The correction that would follow `correction` if the residual were linear."""
        return self(residual + self._matrix @ correction)

    def hides(self, residual: Tensor) -> bool:
        """Whether most of what is left lies in directions that the damping leaves out."""
        correction = self(residual)
        return float(self.after(residual, correction).norm()) > HIDDEN * float(correction.norm())


def _change(first: float, left: float) -> float:
    """What the damping is multiplied with: less where long steps did well, more where short ones had to do."""
    if first >= 0.5:
        return 0.25 if left < 0.5 else 0.5
    return 1.0 if first >= 0.25 else 2.0
