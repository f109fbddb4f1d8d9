"""Distances between a dummy batch's gradient and the shared one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from statistics import median
from typing import Protocol

import torch
from torch import Tensor

from textleak.core.errors import ConfigError, UpdateError, unknown

KINDS = ("l2", "cosine", "cosine-all", "relative-l2", "tag")


class Compared(Protocol):
    """P tensors' dummy gradients g, one a candidate, beside their shared gradients G."""

    @property
    def names(self) -> Sequence[str]:
        """The P tensors."""

    @property
    def shared_squared(self) -> Tensor:
        """||G||², (P, 1)."""

    @property
    def entries(self) -> int:
        """The numbers in each tensor."""

    def dot(self) -> Tensor:
        """<g, G>, (P, R)."""

    def squared(self) -> Tensor:
        """||g||², (P, R)."""

    def residual(self) -> Tensor:
        """||g - G||², (P, R)."""

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, (P, R)."""

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), (P, R)."""


@dataclass(frozen=True)
class Distance:
    """A distance over named tensors.

    Attributes:
        kind: "l2", the weighted sum of ||g - G||² (DLG, Zhu et al. 2019); "cosine", the weighted
            mean over tensors of 1 - cos(g, G); "cosine-all", 1 - cos of everything as one vector
            (Geiping et al. 2020); "relative-l2", the weighted mean of ||g - G||² / ||G||²; "tag",
            L2 plus `alpha` times L1 (Deng et al. 2021).
        weights: shell patterns of tensor names to weights; the last pattern that fits decides, no
            pattern means 1, and 0 leaves a tensor out.
        row_cosine: shell patterns of tables that "cosine" compares row by row (position tables).
        negligible: a tensor whose shared gradient's root mean square is below the root of its
            type's rounding, at most this fraction, of the median tensor's is left out: its gradient
            is zero but for rounding (attention's key bias, which softmax does not see), its direction
            is noise, and "relative-l2" would divide by it. Its size is some roundings of the terms
            that cancel in it. Seen in BERTs, at random and trained: at most 4e-15 (float64) and
            2e-6 (float32); in half precision mostly below 3e-3, and where the terms are large not
            to be told by size; what is left begins at 2e-2. "cosine" treats a dummy's gradient
            alike: below the fraction it counts as orthogonal, since noise that a defence put on a
            shared zero gives it a direction again.
        alpha: the weight of L1 in "tag".
        alphas: factors on `alpha` by shell pattern of tensor names, as in `weights`.
    """

    kind: str = "cosine"
    weights: Mapping[str, float] = field(default_factory=dict)
    row_cosine: tuple[str, ...] = ()
    negligible: float = 1e-2
    alpha: float = 0.1
    alphas: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown("distance", self.kind, KINDS))
        if self.row_cosine and self.kind != "cosine":
            raise ConfigError(f"row_cosine needs the distance 'cosine', not {self.kind!r}")
        for pattern, weight in self.weights.items():
            if weight < 0:
                raise ConfigError(f"the weight of {pattern!r} is {weight}; expected 0 or more")

    def weight(self, name: str) -> float:
        """The weight of the tensor called `name`."""
        return _by_pattern(self.weights, name)

    def select(self, shared: Mapping[str, Tensor]) -> dict[str, float]:
        """The tensors that take part, with their weights.

        Raises:
            UpdateError: none is left.
        """
        sizes = {name: _root_mean_square(gradient) for name, gradient in shared.items()}
        typical = median([size for size in sizes.values() if size > 0] or [0.0])
        weights = {
            name: self.weight(name)
            for name, size in sizes.items()
            if size > typical * self.silence(shared[name].dtype)
        }
        chosen = {name: weight for name, weight in weights.items() if weight > 0}
        if not chosen:
            raise UpdateError("no shared gradient is left to match: all are zero or weighted 0")
        return chosen

    def silence(self, dtype: torch.dtype) -> float:
        """The fraction of a typical gradient below which one of that type is rounding."""
        return min(math.sqrt(torch.finfo(dtype).eps), self.negligible)

    def by_rows(self, name: str) -> bool:
        """Whether the table called `name` is compared row by row."""
        return any(fnmatchcase(name, pattern) for pattern in self.row_cosine)

    def __call__(self, compared: Sequence[Compared], weights: Mapping[str, float]) -> Tensor:
        """The distance of each candidate.

        Args:
            compared: all tensors that take part, one compared row by row in a part of its own.
            weights: their weights, from `select`.

        Returns:
            Distances, shape (R,).
        """
        compared = sorted(compared, key=lambda part: self.by_rows(part.names[0]))  # these last
        names = [name for part in compared for name in part.names]
        scale = compared[0].shared_squared.new_tensor([[weights[name]] for name in names])  # (P, 1)
        if self.kind == "cosine-all":
            dot, squared, shared = (
                (scale * torch.cat(values)).sum(0)
                for values in zip(
                    *((p.dot(), p.squared(), p.shared_squared) for p in compared), strict=True
                )
            )
            return one_minus_cosine(dot, squared, shared)
        total = (scale * self._of_tensors(compared)).sum(0)  # (R,)
        return total / scale.sum() if self.kind in ("cosine", "relative-l2") else total

    def _of_tensors(self, compared: Sequence[Compared]) -> Tensor:
        """The distance of each tensor on its own, (P, R)."""
        if self.kind == "cosine":
            return self._cosines(compared)
        residual = torch.cat([part.residual() for part in compared])
        if self.kind == "relative-l2":
            return residual / torch.cat([part.shared_squared for part in compared])
        if self.kind == "tag":
            names = [name for part in compared for name in part.names]
            factors = [[self.alpha * _by_pattern(self.alphas, name)] for name in names]
            absolute = torch.cat([part.absolute() for part in compared])
            return residual + residual.new_tensor(factors) * absolute
        return residual

    def _cosines(self, compared: Sequence[Compared]) -> Tensor:
        whole = [part for part in compared if not self.by_rows(part.names[0])]
        silence = self.silence(compared[0].shared_squared.dtype)
        rows = [part.row_cosine(silence) for part in compared[len(whole) :]]
        if not whole:
            return torch.cat(rows)
        dot, squared, shared = (
            torch.cat(values)
            for values in zip(
                *((p.dot(), p.squared(), p.shared_squared) for p in whole), strict=True
            )
        )
        cosines = one_minus_cosine(dot, squared, shared)  # (P, R)
        entries = [part.entries for part in whole for _ in part.names]
        mean_square = squared.detach() / squared.new_tensor(entries).unsqueeze(1)
        heard = mean_square > silence**2 * mean_square.median(0).values
        return torch.cat([torch.where(heard, cosines, 1), *rows])


def _by_pattern(values: Mapping[str, float], name: str) -> float:
    """The value of the last pattern that fits `name`; 1 where none does."""
    chosen = [value for pattern, value in values.items() if fnmatchcase(name, pattern)]
    return chosen[-1] if chosen else 1.0


def one_minus_cosine(dot: Tensor, squared: Tensor, shared_squared: Tensor) -> Tensor:
    """1 - <g, G> / (||g|| ||G||); a zero g counts as orthogonal and has no slope."""
    floor = torch.finfo(squared.dtype).tiny
    return 1 - dot * (squared * shared_squared).clamp_min(floor).rsqrt()


def _root_mean_square(gradient: Tensor) -> float:
    return float(gradient.double().square().mean().sqrt()) if gradient.numel() else 0.0
