"""The law of the noise that a protocol puts on what is shared: public, as protocols are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

_SMALL = 1e-2  # below it the series of x + exp(-x) - 1 keeps more digits than the formula


@dataclass(frozen=True)
class NoiseLaw:
    """Independent noise of mean 0 on every entry.

    Attributes:
        kind: how it is distributed.
        std: its standard deviation.
    """

    kind: Literal["gaussian", "laplacian"]
    std: float

    def nats(self, change: Tensor) -> float:
        """How much likelier the truth is than a candidate, by the mean over all draws of the noise.

        It is the Kullback-Leibler divergence of two updates that differ by `change`. Gaussian:
        |change|² / 2σ². Laplacian, of scale b = σ/√2, entry by entry: x + exp(-x) - 1 with x = |change| / b.

        >>> NoiseLaw("gaussian", 0.5).nats(torch.tensor([3.0, 4.0]))
        50.0
        """
        if self.kind == "gaussian":
            return float((change.double() / self.std).square().sum()) / 2
        x = change.abs().double() * (math.sqrt(2) / self.std)
        small = x.square() * (1 / 2 - x / 6)
        return float(torch.where(x < _SMALL, small, x + torch.expm1(-x)).sum())

    def nats_of(self, squares: Tensor) -> Tensor:
        """Their upper bound from |change|² alone, which Gaussian noise meets."""
        nats = squares / self.std / self.std  # its square may be nothing
        return nats / 2 if self.kind == "gaussian" else nats

    def and_also(self, other: NoiseLaw | None) -> NoiseLaw:
        """The sum of two: their variances add; Gaussian where either is."""
        if other is None:
            return self
        both = "laplacian" if self.kind == other.kind == "laplacian" else "gaussian"
        return NoiseLaw(both, math.hypot(self.std, other.std))  # type: ignore[arg-type]
