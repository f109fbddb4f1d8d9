"""Distances between a dummy batch's gradient and the shared one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from statistics import median
from typing import Protocol

import torch
from torch import Tensor

from textleak.errors import ConfigError, unknown

KINDS = ("l2", "cosine", "cosine-all", "relative-l2", "tag")


class Compared(Protocol):
    """One tensor's dummy gradients g (one a candidate) beside its shared gradient G."""

    shared_squared: float

    def dot(self) -> Tensor:
        """<g, G>, shape (R,)."""

    def squared(self) -> Tensor:
        """||g||², shape (R,)."""

    def residual(self) -> Tensor:
        """||g - G||², shape (R,)."""

    def absolute(self) -> Tensor:
        """The L1 norm of g - G, shape (R,)."""

    def row_cosine(self, negligible: float) -> Tensor:
        """Mean over rows of 1 - cos(g row, G row), shape (R,)."""


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
        negligible: a tensor whose shared gradient's root mean square is below this fraction of the
            median tensor's is left out: its gradient is zero but for rounding (attention's key bias,
            which softmax does not see) and its direction is noise.
        alpha: the weight of L1 in "tag".
    """

    kind: str = "cosine"
    weights: Mapping[str, float] = field(default_factory=dict)
    row_cosine: tuple[str, ...] = ()
    negligible: float = 1e-6
    alpha: float = 0.1

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
        chosen = [weight for pattern, weight in self.weights.items() if fnmatchcase(name, pattern)]
        return chosen[-1] if chosen else 1.0

    def select(self, shared: Mapping[str, Tensor]) -> dict[str, float]:
        """The tensors that take part, with their weights.

        Raises:
            ConfigError: none is left.
        """
        sizes = {name: _root_mean_square(gradient) for name, gradient in shared.items()}
        present = [size for size in sizes.values() if size > 0]
        least = self.negligible * median(present) if present else 0.0
        weights = {name: self.weight(name) for name, size in sizes.items() if size > least}
        chosen = {name: weight for name, weight in weights.items() if weight > 0}
        if not chosen:
            raise ConfigError("no shared gradient is left to match: all are zero or weighted 0")
        return chosen

    def __call__(self, compared: Mapping[str, Compared], weights: Mapping[str, float]) -> Tensor:
        """The distance of each candidate.

        Args:
            compared: the tensors that take part.
            weights: their weights, from `select`.

        Returns:
            Distances, shape (R,).
        """
        if self.kind == "cosine-all":
            return _cosine_of_all(compared, weights)
        parts = [weights[name] * self._of_tensor(name, pair) for name, pair in compared.items()]
        total = torch.stack(parts).sum(0)  # (R,)
        averaged = self.kind in ("cosine", "relative-l2")
        return total / sum(weights[name] for name in compared) if averaged else total

    def _of_tensor(self, name: str, pair: Compared) -> Tensor:
        if self.kind == "l2":
            return pair.residual()
        if self.kind == "tag":
            return pair.residual() + self.alpha * pair.absolute()
        if self.kind == "relative-l2":
            return pair.residual() / pair.shared_squared
        if any(fnmatchcase(name, pattern) for pattern in self.row_cosine):
            return pair.row_cosine(self.negligible)
        return one_minus_cosine(pair.dot(), pair.squared(), pair.shared_squared)


def one_minus_cosine(dot: Tensor, squared: Tensor, shared_squared: float | Tensor) -> Tensor:
    """1 - <g, G> / (||g|| ||G||); a zero g counts as orthogonal and has no slope."""
    floor = torch.finfo(squared.dtype).tiny
    return 1 - dot * (squared * shared_squared).clamp_min(floor).rsqrt()


def _cosine_of_all(compared: Mapping[str, Compared], weights: Mapping[str, float]) -> Tensor:
    def total(of: Callable[[Compared], Tensor]) -> Tensor:
        return torch.stack([weights[name] * of(pair) for name, pair in compared.items()]).sum(0)

    shared = sum(weights[name] * pair.shared_squared for name, pair in compared.items())
    return one_minus_cosine(total(lambda p: p.dot()), total(lambda p: p.squared()), shared)


def _root_mean_square(gradient: Tensor) -> float:
    return float(gradient.double().square().mean().sqrt()) if gradient.numel() else 0.0
