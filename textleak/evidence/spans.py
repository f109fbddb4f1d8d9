"""Row spaces of weight gradients: a layer's inputs span its weight gradient's rows.

The gradient of a linear layer is G = sum_n d_n x_n^T over tokens n, so every input x_n lies in the row
space of G as long as the tokens stay fewer than the width (DAGER, Petrov et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """The row space of a gradient.

    Attributes:
        basis: (r, H) orthonormal rows, float64, strongest first.
        complement: (H - r, H) orthonormal rows of what no input can contain.
        gap: the ratio of the last singular value kept to the first one dropped.
    """

    basis: Tensor
    complement: Tensor
    gap: float

    @property
    def rank(self) -> int:
        """How many independent inputs there were."""
        return len(self.basis)

    def residual(self, states: Tensor) -> Tensor:
        """How much of each state (..., H) lies outside, 0 to 1; (...)."""
        outside = states.double() @ self.complement.T
        share: Tensor = outside.norm(dim=-1) / states.double().norm(dim=-1).clamp_min(1e-300)
        return share


def row_span(gradients: Sequence[Tensor], rank: int | None = None) -> Span:
    """The row space that weight gradients of layers with the same input share.

    Rows are brought to one norm first, so that no projection drowns another; the rank is where the
    spectrum falls off most steeply.

    Args:
        gradients: each (out, H).
        rank: the rank when it is known.
    """
    rows = torch.cat([g.double() for g in gradients])
    norms = rows.norm(dim=1, keepdim=True)
    rows = rows[norms.flatten() > 0] / norms[norms.flatten() > 0]
    if len(rows) == 0:
        width = gradients[0].shape[1]
        return Span(torch.zeros(0, width).double(), torch.eye(width).double(), float("inf"))
    # The H x H Gram matrix would square the condition number: a reduced QR keeps it.
    triangle = torch.linalg.qr(rows, mode="r").R
    _, values, right = torch.linalg.svd(triangle, full_matrices=True)
    kept = spectral_rank(values) if rank is None else rank
    below = float(values[kept]) if kept < len(values) else 0.0
    gap = float(values[kept - 1]) / max(below, float(values[0]) * 1e-16) if kept else float("inf")
    return Span(right[:kept], right[kept:], gap)


def spectral_rank(values: Tensor) -> int:
    """Where a falling spectrum drops most steeply: the number of values before the drop.

    Args:
        values: (n,) singular values, falling.

    >>> spectral_rank(torch.tensor([3.0, 2.0, 1.0, 1e-8, 9e-9]))
    3
    """
    if len(values) == 0 or values[0] <= 0:
        return 0
    floor = float(values[0]) * torch.finfo(torch.float64).eps * len(values)
    logs = values.double().clamp_min(floor).log()
    # A spectrum without any drop is one of full rank: the floor stands behind the last value.
    drops = logs - torch.cat([logs[1:], logs[-1:]])
    at = int(drops.argmax())
    return at + 1 if float(drops[at]) > _STEEP else len(values)


_STEEP = torch.tensor(10.0).log().item()  # a smaller step than a decade is no edge of a spectrum
