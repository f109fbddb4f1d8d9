"""Non-negative least squares by active sets, started from a guess of the support."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from textleak.attacks.subspace.pairs import Array


def nonnegative_least_squares(
    matrix: Array, target: Array, support: NDArray[np.intp] | None = None
) -> Array:
    """The x >= 0 that brings matrix @ x closest to target (Lawson and Hanson 1974, chapter 23).

    Only the columns of the support enter a factorisation, so a sparse solution of a wide problem
    costs a few products with the matrix.

    Args:
        matrix: (R, E).
        target: (R,).
        support: columns to start with.

    Returns:
        (E,) the solution.
    """
    rows, columns = matrix.shape
    lengths = np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    matrix = matrix / lengths
    normal = _Normal(matrix, target, whole=columns <= 4 * rows)
    passive = np.zeros(columns, dtype=bool)
    x = np.zeros(columns)
    if support is not None and len(support):
        passive[support] = True
        x = _settle(normal, passive, x)
    tolerance = 1e-10 * float(np.abs(matrix.T @ target).max(initial=1e-300))
    for attempt in range(3 * columns):
        slope = normal.slope(x)
        slope[passive] = -np.inf
        best = float(slope.max())
        if best <= tolerance:
            break
        # All steep columns enter at once; one at a time later on, which cannot cycle.
        entering = slope >= (0.5 * best if attempt < 50 else best)
        passive |= entering
        x = _settle(normal, passive, x)
        if attempt >= 50 and not (passive & entering).any():
            break  # entered and left at once: rounding
    return np.asarray(x / lengths)


class _Normal:
    """The normal equations of least squares on any of the columns.

    Args:
        matrix: (R, E).
        target: (R,).
        whole: make all products of columns once; of many more columns than rows few are ever needed.
    """

    def __init__(self, matrix: Array, target: Array, whole: bool) -> None:
        self._matrix = torch.from_numpy(np.ascontiguousarray(matrix))
        self._target = torch.from_numpy(target)
        self._sums = self._matrix.T @ self._target
        self._gram = self._matrix.T @ self._matrix if whole else None

    def slope(self, x: Array) -> Array:
        """How much every column would still take off what x leaves; (E,)."""
        left = self._target - self._matrix @ torch.from_numpy(x)
        return np.asarray((self._matrix.T @ left).numpy())

    def solve(self, chosen: NDArray[np.intp]) -> Array:
        """The coefficients of the chosen columns; a trace of a ridge keeps them finite."""
        at = torch.from_numpy(chosen)
        if self._gram is None:
            part = self._matrix[:, at]
            gram = part.T @ part
        else:
            gram = self._gram[at][:, at]
        gram.diagonal().mul_(1 + 1e-13)
        factor, failed = torch.linalg.cholesky_ex(gram)
        sums = self._sums[at]
        if int(failed):
            return np.asarray(torch.linalg.solve(gram, sums).numpy())
        return np.asarray(torch.cholesky_solve(sums[:, None], factor)[:, 0].numpy())


def _settle(normal: _Normal, passive: NDArray[np.bool_], x: Array) -> Array:
    """Least squares on the passive columns; those that would turn negative leave (in place)."""
    while True:
        chosen = np.flatnonzero(passive)
        solution = normal.solve(chosen)
        if len(solution) == 0 or solution.min() > 0:
            x = np.zeros_like(x)
            x[chosen] = solution
            return x
        current = x[chosen]
        falling = solution <= 0
        steps = current[falling] / np.maximum(current[falling] - solution[falling], 1e-300)
        step = float(steps.min())
        moved = current + step * (solution - current)
        leaving = falling & (moved <= 1e-14)
        if not leaving.any():
            leaving = falling & (np.arange(len(moved)) == np.flatnonzero(falling)[steps.argmin()])
        x = np.zeros_like(x)
        x[chosen] = np.maximum(moved, 0)
        x[chosen[leaving]] = 0
        passive[chosen[leaving]] = False
