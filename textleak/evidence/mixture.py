"""Rows of a tied table as mixtures of a few softmaxes: where they start, and their Gauss-Newton."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from textleak.core.budget import checkpoint
from textleak.evidence.conjugate import steps_by_products


class Mixture:
    """Absent words' rows as mixtures of a few softmaxes, in coordinates of the span.

    Args:
        rows: (A, M) rows of absent words, times M.
        sums: (A,) their bias gradients, times M.
        words: (V, M) all words' embeddings.
        bias: (V,) decoder bias.
        absent: (A,) their ids.
        direct: up to how many unknowns the normal equations are written down.
    """

    def __init__(
        self,
        rows: Tensor,
        sums: Tensor,
        words: Tensor,
        bias: Tensor,
        absent: Tensor,
        direct: int = 600,
    ) -> None:
        self.direct = direct
        self.rows, self.sums, self.words, self.bias = rows, sums, words, bias
        self.absent = absent
        # Relative weights: words of small probability carry as much as others.
        self.weights = 1 / rows.norm(dim=1).clamp_min(1e-30)

    def _probabilities(self, states: Tensor) -> Tensor:
        return torch.softmax(states @ self.words.T + self.bias, dim=1)

    def left(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (A, M) and sums (A,) without what known states explain."""
        if not len(states):
            return self.rows, self.sums
        p = self._probabilities(states)[:, self.absent]
        return self.rows - p.T @ states, self.sums - p.sum(0)

    def extremes(self, known: Tensor, count: int) -> Tensor:
        """Vertices of the convex hull of rows over sums (successive projection); (count, M)."""
        rows, sums = self.left(known)
        heavy = sums > sums.quantile(0.5)
        points = rows[heavy] / sums[heavy][:, None]
        if count == 1:
            return (rows[heavy].sum(0) / sums[heavy].sum())[None]
        left, chosen = points.clone(), []
        for _ in range(count):
            at = int(left.norm(dim=1).argmax())
            chosen.append(at)
            direction = left[at] / left[at].norm().clamp_min(1e-300)
            left = left - (left @ direction)[:, None] * direction
        return points[chosen]

    def refine(self, known: Tensor, rest: Tensor, steps: int = 8) -> Tensor:
        """Levenberg-Marquardt on the states of `rest`; (k, M)."""
        target, _ = self.left(known)
        damping, value = 1e-3, self._value(target, rest)
        for _ in range(steps):
            checkpoint()
            solve = self._steps(target, rest)
            while damping < 1e4:
                step = solve(damping)
                trial = self._value(target, rest + step)
                if trial < value:
                    gain, rest, value = 1 - trial / value, rest + step, trial
                    damping /= 10
                    break
                damping *= 10
            else:
                break
            if gain < 1e-3:
                break
        return rest

    def _value(self, target: Tensor, rest: Tensor) -> float:
        p = self._probabilities(rest)[:, self.absent]
        return float(((target - p.T @ rest) * self.weights[:, None]).square().sum())

    def _steps(self, target: Tensor, rest: Tensor) -> Callable[[float], Tensor]:
        """The step (k, M) of Gauss-Newton for a damping: exact, or by products where it is large."""
        if rest.numel() > self.direct:
            full = self._probabilities(rest)
            p = full[:, self.absent] * self.weights
            misfit = target * self.weights[:, None] - p.T @ rest
            return steps_by_products(p, full @ self.words, self.words[self.absent], rest, misfit)
        gram, slope = self._normal(target, rest)

        def solve(damping: float) -> Tensor:
            ridge = torch.diag(gram.diagonal().clamp_min(1e-300)) * damping
            step: Tensor = torch.linalg.solve(gram + ridge, slope).view_as(rest)
            return step

        return solve

    def _normal(self, target: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        full = self._probabilities(rest)
        p = full[:, self.absent] * self.weights  # (k, A)
        misfit = (target * self.weights[:, None]) - p.T @ rest  # (A, M)
        k, m = rest.shape
        words = self.words[self.absent]
        gram, slope = torch.zeros(k, m, k, m).double(), torch.zeros(k, m).double()
        centred = [words - full[j] @ self.words for j in range(k)]  # (A, M) each
        for j in range(k):
            slope[j] = p[j] @ misfit + (p[j] * (misfit @ rest[j])) @ centred[j]
            for i in range(j, k):
                both = p[j] * p[i]
                block = both.sum() * torch.eye(m).double()
                block = block + torch.outer(both @ centred[j], rest[j])
                block = block + torch.outer(rest[i], both @ centred[i])
                cross = (centred[j] * both[:, None]).T @ centred[i]
                block = block + (rest[j] @ rest[i]) * cross
                gram[j, :, i], gram[i, :, j] = block, block.T
        return gram.reshape(k * m, k * m), slope.reshape(-1)

    def error(self, states: Tensor) -> float:
        """The weighted part of the rows that `states` leave unexplained, relative."""
        p = self._probabilities(states)[:, self.absent]
        missed = (self.rows - p.T @ states) * self.weights[:, None]
        return float(missed.norm() / (self.rows * self.weights[:, None]).norm())
