"""Non-negative least squares by active sets, started from a guess of the support."""

from __future__ import annotations

import numpy as np
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
    columns = matrix.shape[1]
    lengths = np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    matrix = matrix / lengths
    passive = np.zeros(columns, dtype=bool)
    x = np.zeros(columns)
    if support is not None and len(support):
        passive[support] = True
        x = _settle(matrix, target, passive, x)
    tolerance = 1e-10 * float(np.abs(matrix.T @ target).max(initial=1e-300))
    for attempt in range(3 * columns):
        slope = matrix.T @ (target - matrix @ x)
        slope[passive] = -np.inf
        best = float(slope.max())
        if best <= tolerance:
            break
        # All steep columns enter at once; one at a time later on, which cannot cycle.
        entering = slope >= (0.5 * best if attempt < 50 else best)
        passive |= entering
        x = _settle(matrix, target, passive, x)
        if attempt >= 50 and not (passive & entering).any():
            break  # entered and left at once: rounding
    return np.asarray(x / lengths)


def _settle(matrix: Array, target: Array, passive: NDArray[np.bool_], x: Array) -> Array:
    """Least squares on the passive columns; those that would turn negative leave (in place)."""
    while True:
        chosen = np.flatnonzero(passive)
        part = matrix[:, chosen]
        gram = part.T @ part
        gram[np.diag_indices_from(gram)] *= 1 + 1e-13
        solution = np.linalg.solve(gram, part.T @ target)
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
